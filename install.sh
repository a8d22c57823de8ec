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
  --uninstall             remove what was installed; keeps configuration and credentials
  --purge                 with --uninstall: removes those too
  --platform NAME         linux or macos, instead of the machine's own
  -h, --help              this text

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
	from='' service=yes namespaces=yes action=install purge=no platform=''
	while [ $# -gt 0 ]; do
		case $1 in
		--from) [ $# -ge 2 ] || fail '--from needs a file' 2; from=$2; shift ;;
		--platform) [ $# -ge 2 ] || fail '--platform needs linux or macos' 2; platform=$2; shift ;;
		--no-service) service=no ;;
		--without-namespaces) namespaces=no ;;
		--uninstall) action=uninstall ;;
		--purge) purge=yes ;;
		-h | --help) usage; exit 0 ;;
		*) usage >&2; fail "unknown option: $1" 2 ;;
		esac
		shift
	done
	[ "$purge" = no ] || [ "$action" = uninstall ] || fail '--purge goes with --uninstall' 2
	[ "$(id -u)" != 0 ] || fail 'run this as the user whose login it will keep, not as root'
	umask 077
	find_platform
	find_places
	changed=no units_changed=no
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
	unit_dir=$config_home/systemd/user
	drop_in_dir=$unit_dir/valetkey.service.d
	agent=$HOME/Library/LaunchAgents/local.valetkey.plist
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
	if [ "$service" = yes ]; then
		if [ "$platform" = linux ]; then linux_service; else macos_service; fi
	fi
	[ "$changed" = yes ] || say 'everything was up to date'
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
	case $2 in "$unit_dir"/* | "$agent") units_changed=yes ;; esac
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

linux_service() {
	put "$source_dir/systemd/valetkey.socket" "$unit_dir/valetkey.socket" 644
	put "$source_dir/systemd/valetkey.service" "$unit_dir/valetkey.service" 644
	write_places >"$scratch/places"
	keep_or_drop "$scratch/places" "$drop_in_dir/10-places.conf"
	: >"$scratch/namespaces"
	[ "$namespaces" = yes ] || cp "$source_dir/systemd/without-namespaces.conf" "$scratch/namespaces"
	keep_or_drop "$scratch/namespaces" "$drop_in_dir/20-without-namespaces.conf"
	if ! user_manager; then
		hint 'no user service manager answers here; the units are in place, start the daemon with: valetkey serve'
		return 0
	fi
	stop_own_daemon
	[ "$units_changed" = no ] || systemctl --user daemon-reload
	for unit in valetkey.socket valetkey.service; do
		systemctl --user --quiet is-enabled "$unit" 2>/dev/null || systemctl --user --quiet enable "$unit"
	done
	[ "$units_changed" = no ] || systemctl --user restart valetkey.socket
	if [ "$changed" = yes ]; then
		# The socket stays open meanwhile, so a client waits instead of being refused.
		systemctl --user restart valetkey.service || service_failed
	else
		systemctl --user start valetkey.socket valetkey.service || service_failed
	fi
	say 'valetkey.service is running'
}

# A daemon that a client command started by itself holds the credential, and the service would not get
# it. Where the socket unit listens already, no such daemon can have been started.
stop_own_daemon() {
	if [ ! -x "$binary" ] || systemctl --user --quiet is-active valetkey.socket 2>/dev/null; then
		return 0
	fi
	pid=$("$binary" --no-spawn rpc info 2>/dev/null | sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p')
	[ -n "$pid" ] || return 0
	"$binary" --no-spawn rpc shutdown >/dev/null 2>&1 || return 0
	say "stopped the daemon that ran without a service (process $pid)"
	# It may be in the middle of a refresh, which it finishes: 40 s is more than that can take.
	seconds=0
	while kill -0 "$pid" 2>/dev/null && [ "$seconds" -lt 40 ]; do
		sleep 1
		seconds=$((seconds + 1))
	done
}

service_failed() {
	systemctl --user --no-pager --lines=5 status valetkey.service >&2 || true
	hint 'where it says NAMESPACE or USER: users may not make namespaces here; run again with --without-namespaces'
	fail 'the service does not start: journalctl --user -u valetkey'
}

# keep_or_drop DRAFT TARGET: an empty draft means that the target has no business being there.
keep_or_drop() {
	if [ -s "$1" ]; then put "$1" "$2" 644; else remove "$2"; fi
}

# The shipped unit names the usual places. Where this user's differ, a drop-in says so, and tells
# the daemon too: a service manager does not know what a shell has in its environment.
write_places() {
	[ "$binary" = "$HOME/.local/bin/valetkey" ] && [ "$config_dir" = "$HOME/.config/valetkey" ] &&
		[ "$data_dir" = "$HOME/.local/share/valetkey" ] && [ "$state_dir" = "$HOME/.local/state/valetkey" ] && return 0
	for place in "$binary" "$config_dir" "$data_dir" "$state_dir"; do
		# shellcheck disable=SC1003
		case $place in
		*[\"\'\$%:]* | *'\'*) fail "a unit file cannot name this path plainly: $place" ;;
		esac
	done
	cat <<-END
		# Written by install.sh: this user's places differ from the usual ones.
		[Service]
		ExecStart=
		ExecStart="$binary" serve
		Environment="VALETKEY_CONFIG=$config_dir/config.toml"
		Environment="VALETKEY_DATA_DIR=$data_dir"
		Environment="VALETKEY_STATE_DIR=$state_dir"
	END
	# With nothing hidden there is nothing to bind back. One empty line empties both lists.
	[ "$namespaces" = yes ] || return 0
	cat <<-END
		BindPaths=
		BindReadOnlyPaths="$binary" "-$config_dir"
		BindPaths="$data_dir" "$state_dir" %t/systemd/notify
	END
}

macos_service() {
	parent_dir "$HOME/Library/Logs/valetkey/stderr.log"
	sed -e "s|@BIN@|$(for_sed "$binary")|" -e "s|@HOME@|$(for_sed "$HOME")|" \
		"$source_dir/launchd/local.valetkey.plist" >"$scratch/agent"
	put "$scratch/agent" "$agent" 644
	if [ "$machine" != macos ]; then
		hint 'not a Mac: the agent was written, not loaded'
		return 0
	fi
	domain=gui/$(id -u)
	if [ "$units_changed" = yes ]; then
		launchctl bootout "$domain/local.valetkey" 2>/dev/null || true
	fi
	if ! launchctl print "$domain/local.valetkey" >/dev/null 2>&1; then
		launchctl bootstrap "$domain" "$agent"
	elif [ "$changed" = yes ]; then
		launchctl kickstart -k "$domain/local.valetkey"
	fi
	say 'the agent local.valetkey is loaded'
}

# for_sed TEXT: safe first in XML, then as the right side of a substitution.
for_sed() {
	printf '%s' "$1" | sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g' | sed -e 's/[\\&|]/\\&/g'
}

user_manager() {
	[ "$machine" = linux ] || return 1
	command -v systemctl >/dev/null || return 1
	# A session made by su or sudo does not name it, and the manager may be there all the same.
	if [ -z "${XDG_RUNTIME_DIR:-}" ] && [ -d "/run/user/$(id -u)" ]; then
		XDG_RUNTIME_DIR=/run/user/$(id -u)
		export XDG_RUNTIME_DIR
	fi
	systemctl --user show --property=Version >/dev/null 2>&1
}

closing_hints() {
	case :$PATH: in
	*:"$bin_dir":*) ;;
	*) hint "$bin_dir is not on your PATH; add it in your shell's start file: export PATH=\"$bin_dir:\$PATH\"" ;;
	esac
	if [ "$platform" = linux ] && [ "$service" = yes ] && command -v loginctl >/dev/null &&
		[ "$(loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null)" = no ]; then
		hint 'the daemon ends with your last session; to keep it running: loginctl enable-linger'
	fi
	say 'next: valetkey login'
}

# --- uninstalling -----------------------------------------------------------------------------

uninstall() {
	stop_service
	stop_own_daemon
	for file in "$unit_dir/valetkey.socket" "$unit_dir/valetkey.service" \
		"$drop_in_dir/10-places.conf" "$drop_in_dir/20-without-namespaces.conf" "$agent" \
		"$binary" "$bash_completion" "$zsh_completion" "$fish_completion" \
		"$manual_dir"/valetkey.1 "$manual_dir"/valetkey-*.1; do
		remove "$file"
	done
	# A drop-in of the user's own keeps its folder.
	rmdir "$drop_in_dir" 2>/dev/null || true
	if [ "$units_changed" = yes ] && user_manager; then
		systemctl --user daemon-reload
		systemctl --user reset-failed valetkey.service 2>/dev/null || true
	fi
	if [ "$purge" = yes ]; then
		for folder in "$config_dir" "$state_dir" "$data_dir"; do remove_folder "$folder"; done
		hint 'a login that was not ended with "valetkey logout" stays valid at its issuer: end it there'
	else
		# The state folder is kept where it holds a rescued credential.
		for folder in log audit run; do remove_folder "$state_dir/$folder"; done
		rmdir "$state_dir" 2>/dev/null && say "removed $state_dir"
		hint "kept: $config_dir and $data_dir (--purge removes them)"
	fi
	[ "$changed" = yes ] || say 'nothing was installed'
}

stop_service() {
	if [ "$platform" = linux ] && user_manager; then
		# Both in one call: with the socket still open, the next client would start the service again.
		systemctl --user --quiet disable --now valetkey.socket valetkey.service 2>/dev/null || true
	elif [ "$machine" = macos ]; then
		launchctl bootout "gui/$(id -u)/local.valetkey" 2>/dev/null || true
	fi
}

remove() {
	[ -e "$1" ] || [ -L "$1" ] || return 0
	rm -f "$1"
	say "removed $1"
	changed=yes
	case $1 in "$unit_dir"/*) units_changed=yes ;; esac
}

remove_folder() {
	[ -d "$1" ] || return 0
	inside_home "$1"
	rm -rf "$1"
	say "removed $1"
	changed=yes
}

main "$@"
