//! The one surface of NEXUS: an axum router that the window calls in process and the command
//! line calls over a socket.

pub mod view;
