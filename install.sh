#!/bin/sh
# Installs valetkey for the user who runs it: the binary, the service, shell completions, the manual.
#
# Everything lies below the home directory, nothing needs root, and a second run changes nothing.
# All work is in main, called on the last line, so that half a download does nothing at all.
set -eu

usage() {
	cat <<'END'
usage: ./install.sh [options]

  --from FILE             install this binary instead of building one with cargo
  --no-service            no service: only the binary, completions and the manual
  --without-namespaces    a service for machines where users may not make namespaces
  --desktop-notices       a service whose commands of [hooks] reach the desktop
  --uninstall             remove what was installed; keeps configuration and credentials
  --purge                 with --uninstall: removes those too
  --platform NAME         linux or macos, instead of the machine's own
  -h, --help              this text

The service is the work of `valetkey service install`, which can be run alone at any time.
Honoured: XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME, and VALETKEY_BIN_DIR (~/.local/bin).
END
}

say() { printf '%s\n' "$*"; }
hint() { printf 'hint: %s\n' "$*" >&2; }
fail() {
	printf 'install.sh: %s\n' "$1" >&2
	exit "${2:-1}"
}

main() {
	from='' service=yes choices='' action=install purge=no platform=''
	while [ $# -gt 0 ]; do
		case $1 in
		--from) [ $# -ge 2 ] || fail '--from needs a file' 2; from=$2; shift ;;
		--platform) [ $# -ge 2 ] || fail '--platform needs linux or macos' 2; platform=$2; shift ;;
		--no-service) service=no ;;
		--without-namespaces | --desktop-notices) choices="$choices $1" ;;
		--uninstall) action=uninstall ;;
		--purge) purge=yes ;;
		-h | --help) usage; exit 0 ;;
		*) usage >&2; fail "unknown option: $1" 2 ;;
		esac
		shift
	done
	[ "$purge" = no ] || [ "$action" = uninstall ] || fail '--purge goes with --uninstall' 2
	[ "$service" = yes ] || [ -z "$choices" ] || fail "without a service there is nothing to choose:$choices" 2
	[ "$(id -u)" != 0 ] || fail 'run this as the user whose login it will keep, not as root'
	umask 077
	find_platform
	find_places
	changed=no
	if [ "$action" = uninstall ]; then uninstall; else install_all; fi
}

find_platform() {
	case $(uname -s) in
	Linux) machine=linux ;;
	Darwin) machine=macos ;;
	*) machine=other ;;
	esac
	[ -n "$platform" ] || platform=$machine
	case $platform in
	linux | macos) ;;
	*) fail "no service files for $platform; build with: cargo install --path ." 2 ;;
	esac
}

# Where everything goes. A place outside the home directory is refused: this script promises to
# write nowhere else, and to remove nothing elsewhere.
find_places() {
	case ${HOME:-} in /?*) ;; *) fail 'HOME is not an absolute path' ;; esac
	[ -d "$HOME" ] || fail "no such directory: $HOME"
	source_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
	bin_dir=${VALETKEY_BIN_DIR:-$HOME/.local/bin}
	config_home=${XDG_CONFIG_HOME:-$HOME/.config}
	share_home=${XDG_DATA_HOME:-$HOME/.local/share}
	if [ "$platform" = macos ]; then
		config_dir="$HOME/Library/Application Support/valetkey"
		data_dir=$config_dir
		state_dir=$data_dir/state
	else
		config_dir=$config_home/valetkey
		data_dir=$share_home/valetkey
		state_dir=${XDG_STATE_HOME:-$HOME/.local/state}/valetkey
	fi
	for place in "$bin_dir" "$config_home" "$share_home" "$config_dir" "$data_dir" "$state_dir"; do
		inside_home "$place"
	done
	binary=$bin_dir/valetkey
	bash_completion=$share_home/bash-completion/completions/valetkey
	zsh_completion=$share_home/zsh/site-functions/_valetkey
	fish_completion=$share_home/fish/vendor_completions.d/valetkey.fish
	manual_dir=$share_home/man/man1
}

inside_home() {
	case $1/ in
	*/../* | */./*) fail "not a plain path: $1" ;;
	"$HOME"/?*) ;;
	*) fail "outside of your home directory, where nothing is written: $1" ;;
	esac
}

# --- installing -------------------------------------------------------------------------------

install_all() {
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	trap 'exit 130' INT TERM HUP
	find_binary
	private_dir "$config_dir"
	private_dir "$data_dir"
	private_dir "$state_dir"
	put "$from" "$binary" 755
	put_generated "$bash_completion" completions bash
	put_generated "$zsh_completion" completions zsh
	put_generated "$fish_completion" completions fish
	put_manual
	[ "$service" = no ] || install_service
	[ "$changed" = yes ] || say 'program, completions and manual were up to date'
	closing_hints
}

find_binary() {
	if [ -n "$from" ]; then
		[ -f "$from" ] || fail "no such file: $from"
		return 0
	fi
	[ -f "$source_dir/Cargo.toml" ] || fail 'not in a checkout: name a binary with --from FILE'
	command -v cargo >/dev/null || fail 'cargo is not on PATH: see https://rustup.rs, or name a binary with --from FILE'
	(cd "$source_dir" && cargo build --release --locked)
	from=${CARGO_TARGET_DIR:-$source_dir/target}/release/valetkey
	[ -f "$from" ] || fail "cargo left no binary at $from"
}

# put SOURCE TARGET MODE: writes only what differs, and whole or not at all.
put() {
	if [ -f "$2" ] && [ ! -L "$2" ] && cmp -s "$1" "$2"; then
		return 0
	fi
	[ ! -d "$2" ] || fail "is a directory: $2"
	parent_dir "$2"
	cp "$1" "$2.new.$$"
	chmod "$3" "$2.new.$$"
	mv -f "$2.new.$$" "$2"
	say "wrote $2"
	changed=yes
}

# put_generated TARGET VERB...: what the binary says about itself. Not worth failing for: it cannot
# even run here when the files of another platform are laid out.
put_generated() {
	target=$1
	shift
	if "$from" "$@" >"$scratch/generated" 2>/dev/null && [ -s "$scratch/generated" ]; then
		put "$scratch/generated" "$target" 644
	else
		hint "left out $target: the binary did not answer '$*'"
	fi
}

# One page for each verb, as the first page refers to them.
put_manual() {
	if ! "$from" man --dir "$scratch/manual" >/dev/null 2>&1; then
		hint "left out the manual: the binary did not answer 'man'"
		return 0
	fi
	for page in "$scratch"/manual/*.1; do
		[ ! -f "$page" ] || put "$page" "$manual_dir/${page##*/}" 644
	done
}

parent_dir() {
	# Folders that other programs share get the usual mode; ours are made by private_dir.
	(umask 022 && mkdir -p "$(dirname -- "$1")")
}

private_dir() {
	[ ! -d "$1" ] || return 0
	parent_dir "$1"
	mkdir -m 700 "$1"
	say "made $1"
	changed=yes
}

# The program writes and starts its own service, and says what it wrote.
install_service() {
	# shellcheck disable=SC2086 # words of ours, from the options above
	"$binary" service install --platform "$platform" $choices || fail 'everything is in place but the service'
}

closing_hints() {
	case :$PATH: in
	*:"$bin_dir":*) ;;
	*) hint "$bin_dir is not on your PATH; add it in your shell's start file: export PATH=\"$bin_dir:\$PATH\"" ;;
	esac
	say 'next: valetkey login'
}

# --- uninstalling -----------------------------------------------------------------------------

uninstall() {
	uninstall_service
	for file in "$binary" "$bash_completion" "$zsh_completion" "$fish_completion" \
		"$manual_dir"/valetkey.1 "$manual_dir"/valetkey-*.1; do
		remove "$file"
	done
	# What a daemon writes for itself and can do without. A rescued credential is not among it.
	for place in "$state_dir/log" "$state_dir/audit" "$state_dir/run" "$state_dir/start.lock" \
		"$state_dir/usage.json" "$data_dir/models" "$data_dir/valetkey.lock"; do
		remove "$place"
	done
	rmdir "$state_dir/rescue" "$data_dir/credentials" 2>/dev/null || true
	# What is remembered about credentials is worth nothing without one.
	[ -d "$data_dir/credentials" ] || [ -e "$state_dir/rescue" ] || remove "$data_dir/ledger.json"
	if [ -n "$(find "$state_dir/setup" -type f 2>/dev/null)" ]; then
		hint "kept: $state_dir/setup, which holds what \`valetkey setup\` changed in your agents' files and how it was"
		hint 'to have it undone: install again, then valetkey setup AGENT --undo, then uninstall'
		set -- "$config_dir/config.toml" "$data_dir/credentials" "$data_dir/keys.json" "$data_dir/ledger.json" "$state_dir/rescue"
	else
		remove "$state_dir/setup"
		set -- "$config_dir" "$state_dir" "$data_dir"
	fi
	if [ "$purge" = yes ]; then
		for place in "$@"; do remove "$place"; done
		hint 'a login that was not ended with "valetkey logout" stays valid at its issuer: end it there'
	fi
	for folder in "$state_dir" "$data_dir" "$config_dir"; do
		rmdir "$folder" 2>/dev/null || [ ! -d "$folder" ] || hint "kept: $folder"
	done
	[ "$changed" = yes ] || say 'nothing was installed'
}

uninstall_service() {
	program=$binary
	[ -x "$program" ] || program=${from:-$(command -v valetkey || true)}
	if [ -z "$program" ]; then
		for file in "$config_home/systemd/user/valetkey.service" "$HOME/.config/systemd/user/valetkey.service" \
			"$HOME/Library/LaunchAgents/local.valetkey.plist"; do
			[ ! -f "$file" ] || fail "the program is gone and its service is not; name another with --from FILE: $file"
		done
		return 0
	fi
	"$program" service uninstall --platform "$platform" || fail 'the service could not be taken away; nothing else was'
	# A daemon that a client command started by itself.
	pid=$("$program" --no-spawn rpc info 2>/dev/null | sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p')
	[ -n "$pid" ] || return 0
	"$program" --no-spawn rpc shutdown >/dev/null 2>&1 || return 0
	# It may be in the middle of a refresh, which it finishes: 40 s is more than that can take.
	seconds=0
	while kill -0 "$pid" 2>/dev/null && [ "$seconds" -lt 40 ]; do
		sleep 1
		seconds=$((seconds + 1))
	done
}

remove() {
	[ -e "$1" ] || [ -L "$1" ] || return 0
	inside_home "$1"
	rm -rf "$1"
	say "removed $1"
	changed=yes
}

main "$@"
