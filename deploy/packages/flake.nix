# Nix: nix run /path/to/checkout?dir=deploy/packages -- doctor
#
# Not built from nixpkgs: Delta and Arrow are taken as the pinned wheels, by uv, into its cache at the
# first start; this flake brings Python, uv and the libraries that wheels expect.
{
  description = "lifelog_lake: record your devices into a data lake of your own";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  inputs.source = {
    url = "path:../..";
    flake = false;
  };

  outputs = { self, nixpkgs, source }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      command = pkgs: extra:
        pkgs.writeShellApplication {
          name = "lifelog";
          runtimeInputs = [ pkgs.uv pkgs.python313 ];
          text = ''
            export LD_LIBRARY_PATH="${
              pkgs.lib.makeLibraryPath [ pkgs.stdenv.cc.cc.lib pkgs.zlib pkgs.portaudio ]
            }''${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
            exec uv tool run --no-config --python ${pkgs.python313}/bin/python3.13 \
              --constraints ${source}/requirements/${extra}.txt \
              --from "lifelog-lake[${extra}] @ file://${source}" lifelog "$@"
          '';
        };
    in {
      packages = each (pkgs: {
        default = command pkgs "device";
        hub = command pkgs "hub";
      });
    };
}
