//! What a webhook's URL and secret may be, which addresses are called, and how what is sent there
//! is signed. Pure functions: nothing here calls anybody.

pub mod address;

pub mod secret;
