//! Files in a folder, changed and changed back.
