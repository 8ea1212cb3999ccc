//! The integration tests: one binary, one file a topic.

// Nothing is public beyond this binary.
#![allow(unreachable_pub)]

mod accounts;
mod architecture;
mod attacks;
mod browser;
mod callback;
mod client;
mod client_account;
mod client_doors;
mod command;
mod config;
mod domains;
mod doors;
mod facade;
mod faults;
mod fleet;
mod fronts;
mod instances;
mod keeper;
mod keys;
mod layer;
mod load;
mod log_out;
mod login;
mod lying;
mod observe;
mod paths;
mod process;
mod proxy;
mod redirects;
mod refresh;
mod reload;
mod restarts;
mod revocation;
mod routes;
mod rules;
mod scan;
mod secrets;
mod service;
mod simulator;
mod single_page;
mod sites;
mod soak;
mod stores;
mod stress;
mod third_party;
mod threat_model;
mod tickets;
mod transfers;
mod warehouse;
mod world;
