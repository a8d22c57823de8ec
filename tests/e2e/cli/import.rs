//! A login that another program held.
