//! The cable: one task that moves frames between QEMU's socket, the filter and the stack.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use timeline::{Body, Sink, Source};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::capture::{Capture, CaptureError, Direction};
use crate::conditions::{Conditions, Names};
use crate::dns::Hosts;
use crate::filter::{Query, Refusal, Verdict, judge};
use crate::frame::{FrameReader, FrameWriter};
use crate::line::Line;
use crate::plan::AddressPlan;
use crate::refusals::Refusals;
use crate::reset::refuse;
use crate::service::Service;
use crate::stack::{Stack, WEB};
use crate::stop_error::StopError;
use crate::{dhcp, dns};

/// What went over a network until now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// How often QEMU connected.
    pub links: u64,
    /// It is connected.
    pub connected: bool,
    /// Frames from the machine.
    pub frames_in: u64,
    /// Frames to the machine.
    pub frames_out: u64,
    /// Frames that the capture does not hold, because it was full or could not be written.
    pub uncaptured: u64,
    /// How often the machine was given its address.
    pub leases: u64,
    /// TCP connections that services accepted.
    pub connections: u64,
    /// Frames and names that were refused.
    pub refused: u64,
    /// Connections to services that are down.
    pub turned_away: u64,
}

/// Who is at the other end of the cable.
pub(crate) struct Ends {
    /// Everything that answers the machine, beside DHCP and DNS.
    pub(crate) services: Vec<Service>,
    /// Who answers at the ports of the web while there is a captive portal.
    pub(crate) portal: Option<Service>,
}

impl Ends {
    /// The services, and the portal at the ports of the web that no service has.
    fn ports(&self) -> Vec<Service> {
        let free = |port: &u16| self.services.iter().all(|service| service.port != *port);
        let portal = self.portal.iter().flat_map(|portal| {
            WEB.into_iter().filter(free).map(|port| Service { port, ..portal.clone() })
        });
        self.services.iter().cloned().chain(portal).collect()
    }
}

pub(crate) struct Cable {
    plan: AddressPlan,
    ends: Ends,
    hosts: Hosts,
    capture: Capture,
    capture_failed: Option<CaptureError>,
    refusals: Refusals,
    sink: Sink,
    /// Looked at for every frame, so that a condition holds from the moment on in which it is set.
    conditions: watch::Receiver<Conditions>,
    tasks: JoinSet<()>,
    /// Frames that passed the link, by which loss counts.
    passed: u64,
    to_machine: Line,
    from_machine: Line,
    report: Report,
    told: watch::Sender<Report>,
}

/// Why a link is not attended any more.
enum End {
    /// QEMU is gone, or talks nonsense.
    Link,
    /// The network is to stop.
    Stop,
}

impl Cable {
    pub(crate) fn new(
        plan: AddressPlan,
        ends: Ends,
        capture: Capture,
        sink: Sink,
        conditions: watch::Receiver<Conditions>,
        told: watch::Sender<Report>,
    ) -> Self {
        Self {
            plan,
            hosts: Hosts::new(ends.services.iter().map(|service| service.host.as_str())),
            ends,
            capture,
            capture_failed: None,
            refusals: Refusals::new(sink.clone()),
            sink,
            conditions,
            tasks: JoinSet::new(),
            passed: 0,
            to_machine: Line::default(),
            from_machine: Line::default(),
            report: Report::default(),
            told,
        }
    }

    /// Serves one connection of QEMU after the other until told to stop.
    pub(crate) async fn serve(
        mut self,
        listener: UnixListener,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Report, StopError> {
        let result = loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break Ok(()),
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(source) => {
                    let socket = listener
                        .local_addr()
                        .ok()
                        .and_then(|address| address.as_pathname().map(Into::into))
                        .unwrap_or_default();
                    let error = StopError::Accept { socket, source };
                    let reason = error.to_string();
                    self.sink.emit(Source::Harness, Body::HarnessFailed { reason });
                    break Err(error);
                }
            };
            self.report.links += 1;
            self.report.connected = true;
            self.tell();
            tracing::debug!(link = self.report.links, "the machine's network card is connected");
            let end = self.attend(stream, &mut stop).await;
            self.report.connected = false;
            self.tell();
            match end {
                End::Link => tracing::debug!("the machine's network card is gone"),
                End::Stop => break Ok(()),
            }
        };
        self.tasks.shutdown().await;
        self.flush();
        self.tell();
        result?;
        match self.capture_failed {
            Some(error) => Err(error.into()),
            None => Ok(self.report),
        }
    }

    /// Serves one connection of QEMU. Each has a stack of its own: whoever connects after a restore or
    /// a restart is another machine as far as TCP is concerned.
    async fn attend(&mut self, stream: UnixStream, stop: &mut watch::Receiver<bool>) -> End {
        let (mut from_machine, mut to_machine) = stream.into_split();
        let mut stack = Stack::new(&self.plan, &self.ends.ports(), self.report.links);
        (self.to_machine, self.from_machine) = (Line::default(), Line::default());
        let mut reader = FrameReader::new();
        let mut writer = FrameWriter::default();
        let mut changes = self.conditions.clone();
        loop {
            {
                let conditions = changes.borrow_and_update();
                for service in &conditions.down {
                    stack.reset(service);
                }
                let portal = self.ends.portal.as_ref().filter(|_| conditions.portal);
                stack.set_portal(portal.map(|portal| Arc::clone(&portal.handler)));
            }
            while let Some(frame) = self.from_machine.arrived(Instant::now()) {
                self.hear(&frame, &mut stack, &mut writer);
            }
            poll_fn(|context| {
                stack.pump(context, &mut self.tasks);
                Poll::Ready(())
            })
            .await;
            while writer.has_room()
                && let Some(frame) = stack.give()
            {
                self.send(&mut writer, &frame);
            }
            while writer.has_room()
                && let Some(frame) = self.to_machine.arrived(Instant::now())
            {
                self.deliver(&mut writer, &frame);
            }
            self.report.connections += stack.take_accepted();
            self.reap();
            self.flush();
            self.tell();
            let now = Instant::now();
            let delays = [stack.delay(), self.from_machine.delay(now), self.to_machine.delay(now)];
            let delay = delays.into_iter().flatten().min().filter(|_| writer.has_room());
            let step = self.wait(
                &mut stack,
                (&mut from_machine, &mut reader),
                (&mut to_machine, &mut writer),
                delay,
            );
            let step = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return End::Stop,
                changed = changes.changed() => match changed {
                    Ok(()) => ControlFlow::Continue(()),
                    // The handle is gone, and with it the wish that anything be served.
                    Err(_) => return End::Stop,
                },
                step = step => step,
            };
            if step.is_break() {
                return End::Link;
            }
        }
    }

    /// Waits until there is anything to do, and does the part of it that concerns frames.
    async fn wait(
        &mut self,
        stack: &mut Stack,
        (from_machine, reader): (&mut OwnedReadHalf, &mut FrameReader),
        (to_machine, writer): (&mut OwnedWriteHalf, &mut FrameWriter),
        delay: Option<std::time::Duration>,
    ) -> ControlFlow<()> {
        let (room, waiting) = (writer.has_room(), !writer.is_empty());
        tokio::select! {
            biased;
            written = writer.write_some(to_machine), if waiting => {
                if let Err(error) = written {
                    tracing::debug!(%error, "cannot send to the machine");
                    return ControlFlow::Break(());
                }
            }
            // A machine that does not take its frames is not heard either.
            filled = reader.fill(from_machine), if room => match filled {
                Ok(true) => {}
                Ok(false) => return ControlFlow::Break(()),
                Err(error) => {
                    tracing::debug!(%error, "cannot hear the machine");
                    return ControlFlow::Break(());
                }
            },
            () = poll_fn(|context| match stack.pump(context, &mut self.tasks) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }) => {}
            () = tokio::time::sleep(delay.unwrap_or_default()), if delay.is_some() => {}
        }
        loop {
            match reader.next() {
                Ok(Some(frame)) => self.receive(frame, stack, writer),
                Ok(None) => return ControlFlow::Continue(()),
                Err(error) => {
                    tracing::warn!(%error, "the machine's cable is cut");
                    return ControlFlow::Break(());
                }
            }
        }
    }

    /// One frame from the machine, as it leaves it.
    fn receive(&mut self, frame: &[u8], stack: &mut Stack, writer: &mut FrameWriter) {
        self.report.frames_in += 1;
        self.record(Direction::Inbound, frame);
        let Some(latency) = self.pass("from the machine") else { return };
        if !self.from_machine.holds(latency) {
            self.hear(frame, stack, writer);
        } else if !self.from_machine.send(frame, Instant::now(), latency) {
            self.meets("latency", "a full line from the machine");
        }
    }

    /// One frame from the machine, as it arrives.
    fn hear(&mut self, frame: &[u8], stack: &mut Stack, writer: &mut FrameWriter) {
        let conditions = self.conditions.borrow().clone();
        if let Some(refused) = self.turned_away(frame, &conditions) {
            self.report.turned_away += 1;
            return self.send(writer, &refused);
        }
        let serves = |port| {
            let web = conditions.portal && self.ends.portal.is_some() && WEB.contains(&port);
            let up = |service: &Service| !conditions.down.contains(&service.name);
            web || self.ends.services.iter().any(|service| service.port == port && up(service))
        };
        match judge(frame, &self.plan, serves) {
            Verdict::Stack => stack.take(frame),
            Verdict::Dhcp(_) if !conditions.dhcp => self.meets("no-dhcp", "a request"),
            Verdict::Dhcp(message) => {
                if let Some(answer) = dhcp::answer(message, &self.plan) {
                    self.report.leases += u64::from(answer.granted);
                    self.send(writer, &answer.frame);
                }
            }
            Verdict::Dns(query) => self.resolve(&query, &conditions, writer),
            Verdict::Announcement => {}
            Verdict::Refused(refusal) => self.refusals.add(refusal),
        }
    }

    /// The answer to a machine that wants to connect to a service that is down.
    fn turned_away(&mut self, frame: &[u8], conditions: &Conditions) -> Option<Vec<u8>> {
        if conditions.down.is_empty() {
            return None;
        }
        let refused = refuse(frame, &self.plan)?;
        let down = |service: &&Service| {
            service.port == refused.port && conditions.down.contains(&service.name)
        };
        let service = self.ends.services.iter().find(down)?.name.clone();
        self.meets("down", service);
        Some(refused.answer)
    }

    fn resolve(&mut self, query: &Query<'_>, conditions: &Conditions, writer: &mut FrameWriter) {
        let astray = conditions.names == Names::Astray;
        let (hosts, address) = match conditions {
            _ if astray => (&Hosts::Any, self.plan.nobody),
            Conditions { portal: true, .. } => (&Hosts::Any, self.plan.gateway),
            _ => (&self.hosts, self.plan.gateway),
        };
        let Some(answer) = dns::answer(query.message, hosts, address) else { return };
        if conditions.names == Names::Unanswered {
            return self.meets("no-dns", "a question");
        }
        if astray {
            self.meets("wrong-dns", "a question");
        } else if conditions.portal {
            self.meets("captive-portal", "a question");
        }
        if let Some(to) = answer.unknown {
            self.refusals.add(Refusal { protocol: "dns", to });
        }
        if let Some(frame) = dns::frame(query, &answer.message, &self.plan) {
            self.send(writer, &frame);
        }
    }

    /// Something met a trouble.
    fn meets(&mut self, trouble: &'static str, what: impl Into<String>) {
        self.refusals.add(Refusal { protocol: trouble, to: what.into() });
    }

    /// Whether a frame comes through: the time that it takes, or nothing where it is lost.
    fn pass(&mut self, direction: &'static str) -> Option<Duration> {
        let (link, loss, latency) = {
            let conditions = self.conditions.borrow();
            (conditions.link, conditions.loss, conditions.latency)
        };
        if !link {
            self.meets("no-link", direction);
            return None;
        }
        self.passed += 1;
        if loss.is_some_and(|loss| loss.takes(self.passed)) {
            self.meets("loss", direction);
            return None;
        }
        Some(latency)
    }

    /// One frame to the machine; lost where the link is.
    fn send(&mut self, writer: &mut FrameWriter, frame: &[u8]) {
        let Some(latency) = self.pass("to the machine") else { return };
        if !self.to_machine.holds(latency) {
            self.deliver(writer, frame);
        } else if !self.to_machine.send(frame, Instant::now(), latency) {
            self.meets("latency", "a full line to the machine");
        }
    }

    fn deliver(&mut self, writer: &mut FrameWriter, frame: &[u8]) {
        self.report.frames_out += 1;
        self.record(Direction::Outbound, frame);
        writer.push(frame);
    }

    /// A service that panics is a failure of the harness, not of the machine.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                let reason = format!("a service of the machine's network panicked: {error}");
                self.sink.emit(Source::Harness, Body::HarnessFailed { reason });
            }
        }
    }

    fn tell(&mut self) {
        self.report.refused = self.refusals.total();
        let report = self.report;
        self.told.send_if_modified(|told| std::mem::replace(told, report) != report);
    }

    fn record(&mut self, direction: Direction, frame: &[u8]) {
        let written = match &self.capture_failed {
            None => self.capture.write(direction, frame),
            Some(_) => Ok(false),
        };
        self.report.uncaptured += u64::from(!matches!(written, Ok(true)));
        self.note(written.map(|_| ()));
    }

    fn flush(&mut self) {
        if self.capture_failed.is_none() {
            let flushed = self.capture.flush();
            self.note(flushed);
        }
    }

    /// A capture that cannot be written does not stop the machine's network; the end of it tells.
    fn note(&mut self, result: Result<(), CaptureError>) {
        if let Err(error) = result {
            tracing::error!(%error, "the packet capture ends here");
            self.capture_failed = Some(error);
        }
    }
}
