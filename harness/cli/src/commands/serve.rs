//! `loopbreak serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use recovery::{ServeConfig, Server};
use words::escaped;

use crate::exit::{Exit, infrastructure};
use crate::output::{print, tell};
use crate::signals;

/// What to serve.
#[derive(Debug, Subcommand)]
pub(crate) enum ServeCommand {
    /// Serve remediations to machines, over TLS, until it is interrupted
    ///
    /// Each TOML file in the folder is a remediation, in the words of a scenario's `[[update-service.remediation]]`.
    /// It is published when the file is written and withdrawn when it is removed; one that is changed needs a greater
    /// `counter`. `troubles.toml` holds what is to go wrong: `[[trouble]]` with `trouble` and `requests`, in the words
    /// of a scenario's faults of the kind `service`.
    Remediation(RemediationArgs),
}

/// Where and what.
#[derive(Debug, Args)]
pub(crate) struct RemediationArgs {
    /// The folder of remediations
    folder: PathBuf,
    /// Listen for machines on this address
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The name that machines ask for
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    host: String,
    /// The directory of the certificate authority, made where it is missing
    ///
    /// `root.cer` and `publisher.cer` in it are what machines have to trust; the keys are readable for you alone.
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// Add an event to this file for each request, as JSON lines
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Serve Prometheus metrics on this address, over plain HTTP
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Answer at most so many requests a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_second: Option<u32>,
}

pub(crate) fn run(command: &ServeCommand) -> anyhow::Result<Exit> {
    let ServeCommand::Remediation(args) = command;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(infrastructure)?;
    runtime.block_on(remediation(args))
}

async fn remediation(args: &RemediationArgs) -> anyhow::Result<Exit> {
    let interrupt = signals::listen(|| (Vec::new(), Exit::Infrastructure))?;
    let config = ServeConfig {
        host: args.host.clone(),
        listen: args.listen,
        metrics: args.metrics,
        folder: args.folder.clone(),
        authority: args.authority.clone(),
        events: args.events.clone(),
        per_second: args.per_second,
    };
    let server = Server::bind(config).await.map_err(infrastructure)?;
    let mut text = format!("machines ask https://{}:{}\n", args.host, server.address().port());
    if let Some(metrics) = server.metrics_address() {
        text += &format!("metrics are at http://{metrics}/metrics\n");
    }
    text += &format!("machines have to trust {}\n", args.authority.join("root.cer").display());
    for (id, counter) in server.remediations() {
        text += &format!("published: {} (counter {counter})\n", escaped(&id));
    }
    print(&text)?;
    server.run(async { drop(interrupt.raised().await) }).await.map_err(infrastructure)?;
    tell("ended");
    Ok(Exit::AsExpected)
}
