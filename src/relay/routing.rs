//! Where a workspace's requests must go.
