# Homebrew: brew install --formula ./lifelog-lake.rb
# OWNER, the version and the hash are filled in by the release (.github/workflows/release.yml).
class LifelogLake < Formula
  desc "Record your devices into a data lake of your own"
  homepage "https://github.com/OWNER/lifelog_lake"
  url "https://github.com/OWNER/lifelog_lake/releases/download/v0.1.0/lifelog_lake-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "Apache-2.0"

  depends_on "uv" => :build
  depends_on "portaudio"
  depends_on "python@3.13"

  # Wheels pinned by hash, not Homebrew's resources: Arrow and Delta take hours to build.
  def install
    python = Formula["python@3.13"].opt_bin/"python3.13"
    system "uv", "venv", "--no-project", "--python", python, libexec
    system "uv", "pip", "install", "--python", libexec/"bin/python", "--require-hashes",
           "-r", "requirements/device.txt"
    system "uv", "pip", "install", "--python", libexec/"bin/python", "--no-deps", "."
    bin.install_symlink libexec/"bin/lifelog"
  end

  def caveats
    <<~EOS
      Nothing is recorded yet. To record from each login on:
        lifelog install
      macOS asks for Screen Recording then; `lifelog doctor` says whether it was granted.
    EOS
  end

  test do
    ENV["LIFELOG_HOME"] = testpath/"home"
    assert_match version.to_s, shell_output("#{bin}/lifelog --version")
    system bin/"lifelog", "init"
    system bin/"lifelog", "verify"
  end
end
