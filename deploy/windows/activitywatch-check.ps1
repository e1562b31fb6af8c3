# Asks ActivityWatch's API; without an answer it starts the program anew.
# Run each five minutes by the task lifelog-activitywatch. Exit code 0: it answers, or was started.
param(
    [Parameter(Mandatory = $true)][string]$Program,
    [string]$Url = 'http://127.0.0.1:5600',
    [int]$Tries = 3,
    [int]$WaitSeconds = 10
)
$ErrorActionPreference = 'Stop'

function Test-Answer {
    try {
        $info = Invoke-RestMethod -Uri "$Url/api/0/info" -TimeoutSec 10 -UseBasicParsing
        return [bool]$info.version
    }
    catch {
        return $false
    }
}

for ($try = 0; $try -lt $Tries; $try++) {
    if (Test-Answer) { exit 0 }
    Start-Sleep -Seconds $WaitSeconds
}

# aw-qt starts the server and the watchers, so all of them go; only those from the same folder.
$folder = Split-Path -Parent $Program
Get-Process -Name 'aw-*' -ErrorAction SilentlyContinue |
    Where-Object { $_.Path -and $_.Path.StartsWith($folder, [StringComparison]::OrdinalIgnoreCase) } |
    Stop-Process -Force
Start-Process -FilePath $Program -WorkingDirectory $folder -WindowStyle Hidden
