"""The commits of a repository as JSON lines: python3 commits.py DIRECTORY."""

import json
import subprocess
import sys

argv = ["git", "-C", sys.argv[1], "log", "--all", "--since=30 days ago", "--format=%H%x09%cI%x09%s"]
log = subprocess.run(argv, check=True, capture_output=True, encoding="utf-8", errors="replace")
for line in log.stdout.splitlines():
    commit, at, subject = line.split("\t", 2)
    row = {"id": commit, "at": at, "name": "commit", "value": 1, "subject": subject}
    print(json.dumps(row | {"labels": [{"key": "repository", "value": sys.argv[1]}]}))
