# What builds for Windows and runs what was built, for the scripts beside this folder; to be sourced.
# Installs with apt what is missing and keeps the rest outside the tree. Afterwards
#
#   windows_cargo COMMAND [OPTION...]     is cargo for $windows, by whichever Rust has its library
#   windows_run PROGRAM [WORD...]         runs one, under wine
#
# or it exits 1, having said what could not be had. With builds_only=yes there is no wine, and no
# `windows_run`.
# shellcheck shell=sh
windows=x86_64-pc-windows-gnu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/cgigate-windows
mkdir -p "$cache"

cannot() {
    echo "SKIPPED: Windows: $*" >&2
    exit 1
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

find_wine() {
    for wine in /usr/lib/wine/wine64 "$(command -v wine64)" "$(command -v wine)"; do
        [ -x "$wine" ] && return
    done
    return 1
}

install() {
    echo "installing $1"
    as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" \
            >"$cache/apt.log" 2>&1 || cannot "apt-get install $1: see $cache/apt.log"
}

# --- the linker ---

command -v x86_64-w64-mingw32-gcc >/dev/null || install gcc-mingw-w64-x86-64-posix

# --- what stands for Windows ---

if [ "${builds_only:-}" != yes ]; then
    find_wine || install wine64
    find_wine || cannot "wine64 was installed and is not found"
    export WINEPREFIX="$cache/wine" WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml='
    # wine turns an environment of bytes into UTF-16 by the locale.
    export LC_ALL=C.UTF-8
    unset DISPLAY
    if ! [ -d "$WINEPREFIX/drive_c/windows/system32" ]; then
        "$wine" wineboot -i </dev/null >"$cache/wineboot.log" 2>&1 || cannot "wineboot -i: see $cache/wineboot.log"
        "$(dirname "$wine")/wineserver" -w 2>/dev/null || :
    fi
    # std seeds its maps by a DLL that Windows has since its version 10, and wine 8 has not.
    prng=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
    if ! [ -f "$prng" ]; then
        x86_64-w64-mingw32-gcc -O2 -shared -o "$prng" scripts/windows/prng.c -ladvapi32 ||
            cannot "build a bcryptprimitives.dll for wine"
    fi
    export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER="$wine"
    windows_run() { "$wine" "$@"; }
fi

# --- Rust ---

if [ -d "$(rustc --print target-libdir --target "$windows")" ]; then
    windows_rust=$(rustc -V)
    windows_cargo() { command=$1; shift; cargo "$command" --target "$windows" "$@"; }
else
    rust=$(scripts/unpack-rust) || cannot "Debian's package rustc-web could not be had"
    windows_rust="$(LD_LIBRARY_PATH=$rust/usr/lib/x86_64-linux-gnu "$rust/usr/bin/rustc" -V), with its library from source"
    # The program behind rustup's proxy, which would set the environment of its own toolchain.
    bare_cargo=$(rustup which cargo 2>/dev/null || command -v cargo)
    windows_cargo() {
        command=$1
        shift
        env RUSTC="$rust/usr/bin/rustc" LD_LIBRARY_PATH="$rust/usr/lib/x86_64-linux-gnu" RUSTC_BOOTSTRAP=1 \
            "$bare_cargo" "$command" --target "$windows" -Z build-std=std,panic_unwind,test "$@"
    }
fi
export CARGO_TARGET_DIR="$cache/target"
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
