//! Local sockets and named pipes.
