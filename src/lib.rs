//! One login, held and lent: a daemon that alone owns a rotating credential, renews it ahead of its
//! end, and hands short-lived access tokens to every agent on one person's machine.
//!
//! This page is the map. It changes in the same commit as the structure.
//!
//! # The words
//!
//! A *vendor* is an issuer and the API behind it. An *account* is one identity there. A *login* is the
//! grant held for one account: one refresh token, which works once and buys the next. To *lend* is to
//! hand out the short-lived access token. The *sandbox* is the built-in stand-in vendor.
//!
//! # The way of a request
//!
//! ```text
//!    person                 agents                 systemd / launchd
//!      |                  lines | HTTP                    |
//!    cli  ---- rpc::client --> rpc, http               daemon      begins and ends everything
//!                                |                        |
//!                              access                     |        who asks, and what they did
//!                              /    \                     |
//!                         login  <--  relay --> API       |        what is true; what passes through
//!                        /     \                          |
//!                   vendor     store                      |        who says so; where it is kept
//!                        \     /
//!      secret  clock  config  platform  telemetry  meter           leaves
//! ```
//!
//! # The rooms
//!
//! | room | answers | may use |
//! |---|---|---|
//! | [`secret`] | how is a token held so that it cannot be printed or mistaken | – |
//! | [`clock`] | what time is it, and when is it that time | – |
//! | [`config`] | what did the person ask for | – |
//! | [`platform`] | what differs between machines | – |
//! | [`telemetry`] | where do logs go, and what can never get into them | config, platform |
//! | [`meter`] | how often has what happened | – |
//! | [`store`] | where is a login kept so that nothing loses it | secret, clock, platform |
//! | [`vendor`] | what is asked of an issuer, and what do its answers mean | secret, clock, config |
//! | [`login`] | what is true of each login; who may renew it, and when | secret, clock, config, meter, vendor, store |
//! | [`access`] | who is at the other end, what may they, and what did they do | secret, clock, config, platform |
//! | [`relay`] | what passes through to the API without the token leaving | secret, clock, config, platform, meter, login, vendor |
//! | [`rpc`] | how bytes become calls, and calls become answers | secret, clock, platform, meter, access, login, relay |
//! | [`http`] | how requests and answers of HTTP become the same, and who may send them | secret, clock, config, platform, meter, access, login, relay, rpc |
//! | [`daemon`] | in which order everything begins and ends; what the person is told of | clock, config, platform, telemetry, store, vendor, login, access, relay, rpc, http |
//! | [`cli`] | what a person types and sees | secret, clock, config, platform, vendor, rpc, daemon |
//!
//! A test reads this table and holds the code to it; `cli` enters the daemon in `serve` only, and of the
//! vendors nothing but the sandbox and, in `doctor`, the question whether one can be reached.
//!
//! # What holds everywhere
//!
//! - **One owner.** [`login`]'s owner task is the only code that holds a refresh token after sign-in, and
//!   the only writer of its file. No second lock appears: new features ask the owner.
//! - **Persist, publish, answer**, in that order. A refresh is never cancelled and never replayed.
//! - **A refresh has four outcomes**, classed by one question: may the refresh token have been used?
//!   See [`vendor::Refreshed`].
//! - **Lending waits for nobody.** A token that lives long enough is answered from memory, in the task
//!   that read the question, from bytes encoded once a generation.
//! - **Everything is bounded**: lines, calls, bytes in flight, queues, waits, retries, kept files. Each
//!   bound is a constant or a setting with its reason beside it.
//! - **Time is a parameter.** Decisions are functions of times ([`login::schedule`]); loops carry them out.
//!
//! # What is absent
//!
//! - No way to print a secret: no `Display`, no `Serialize`, no `PartialEq`; `expose()` stands in few files.
//! - No `unsafe` code. No `SystemTime::now` outside [`clock`]. No `println!` outside [`cli`]. No `cfg` for a
//!   system outside [`platform`].
//! - No window is ever opened by the daemon, it hands out addresses; and no program is started but the
//!   person's own `[hooks]` (and on Windows the system's own that ends those that hang).
//! - No encryption at rest: files are 0600 in 0700 folders. A key beside the lock would be decoration.
//! - No `utils`, no `types`, no `errors`.
//!
//! # What others made
//!
//! | crate | for | instead of |
//! |---|---|---|
//! | tokio, tokio-util | one thread that waits for everything | a second thread: more memory, nothing gained |
//! | serde, serde_json | messages and files; raw values pass through unparsed | – |
//! | interprocess | Unix sockets and named pipes behind one type, with peer credentials | two sets of `cfg` |
//! | reqwest (rustls, platform roots) | the issuer, and questions to the API | native-tls: a second TLS stack to link |
//! | http, bytes, httparse | what the carrier of completions reads and hands on (all below reqwest) | hyper's client: a task, a channel and a wake-up for each event |
//! | rustls, tokio-rustls, rustls-platform-verifier | its TLS, as reqwest has it | – |
//! | axum | the callback page, the sandbox and the HTTP dialect's routes | tiny_http, warp |
//! | hyper, hyper-util | HTTP on streams that we accepted ourselves; the way through a proxy (both already below axum) | axum's own listener, which takes no stream that was begun |
//! | flate2, ruzstd | request bodies that come packed | zstd: C to compile for one direction |
//! | prometheus-client | the counters' text | metrics: a global recorder |
//! | http-body, httpdate | the sandbox's cut-off bodies; `Date` and `Retry-After` (both already below axum) | own parsers |
//! | jsonwebtoken, aws-lc-rs | signatures, SHA-256, comparison: one crypto library | `rust_crypto`: 53 more crates, RUSTSEC-2023-0071 |
//! | getrandom | randomness from the system (already below tempfile) | aws-lc's own generator: 30 ms of entropy at the first use |
//! | base64 | PKCE and handles | – |
//! | memchr | the end of a line, found fast (already below serde_json) | a byte at a time |
//! | secrecy | strings that wipe themselves | an own wrapper |
//! | tempfile | files that replace others whole | atomic-write-file: fewer users |
//! | directories | where each system keeps such files | – |
//! | toml | the configuration, with places for its errors | figment, config |
//! | toml_edit | where things stand in a person's TOML, so that the rest of it stays | printing a parsed file anew, which loses some of it |
//! | jsonc-parser | the same in JSON, comments and all | serde_json: loses them, and the order |
//! | saphyr-parser | the same in YAML | yaml-edit: repairs broken files as it reads them |
//! | similar | what a change of a file would change, shown | diffy: lines as bytes only |
//! | thiserror | typed errors: they cross the wire with a code | anyhow, which forgets the type |
//! | tracing, tracing-subscriber, tracing-appender | logs, to the journal or daily files | log4rs |
//! | signal-hook | signals as bytes in a pipe | tokio's own: enough, but chosen for us |
//! | rustix | umask, limits, dumpability, owners | libc, which needs `unsafe` |
//! | sd-notify, listenfd | systemd's readiness, watchdog and sockets | libsystemd |
//! | clap, clap_complete, clap_mangen | the command line, its completions and manual | lexopt: no completions |
//! | anstream, anstyle, terminal_size | colour and width where there is a terminal (already below clap) | – |
//! | indicatif, qrcode, webbrowser | a spinner, a code to scan, a window to sign in with | hand-made ANSI; qr2term; open |
//! | ratatui (with crossterm) | the live view: a screen as a buffer that is compared and tested | cursive: its own loop; hand-made ANSI |
//! | windows-permissions (Windows) | who we are, and who may open a pipe or a file; old, over calls that are older and stay | windows-acl: names for users, no handles; windows-sys needs `unsafe` |
//! | winsafe (Windows) | programs that run or are to inherit nothing, a file's names, room on a disk | sysinfo: many times the size |
//! | atomicwrites (Windows) | a file moved over another, on the disk when it returns | tempfile: does not write through |
//! | widestring (Windows) | the pipe's security descriptor as interprocess takes it (already below it) | – |
//!
//! Made here on purpose: the JSON-RPC layer (a few hundred lines: lines, out-of-order answers, cancelling,
//! raw bodies; jsonrpsee has other transports and its own ids), the carrier of completions (reads as much as
//! has arrived and no more; everything below its framing is a library's), the OAuth dialect (OpenAI's device flow and
//! refresh follow no RFC), the back-off (a state of the owner, not a decorator).

pub mod access;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod http;
pub mod login;
pub mod meter;
pub mod platform;
pub mod relay;
pub mod rpc;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod vendor;
