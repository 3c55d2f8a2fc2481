//! The cable: one task that moves frames between QEMU's socket, the filter and the stack.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::task::Poll;

use timeline::{Body, Sink, Source};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::capture::{Capture, CaptureError, Direction};
use crate::conditions::Conditions;
use crate::dns::Hosts;
use crate::filter::{Refusal, Verdict, judge};
use crate::frame::{FrameReader, FrameWriter};
use crate::network::StopError;
use crate::plan::AddressPlan;
use crate::refusals::Refusals;
use crate::service::Service;
use crate::stack::Stack;
use crate::{dhcp, dns};

/// What went over a network until now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// How often QEMU connected.
    pub links: u64,
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
}

pub(crate) struct Cable {
    plan: AddressPlan,
    services: Vec<Service>,
    hosts: Hosts,
    capture: Capture,
    capture_failed: Option<CaptureError>,
    refusals: Refusals,
    sink: Sink,
    /// Looked at for every frame, so that a condition holds from the moment on in which it is set.
    conditions: watch::Receiver<Conditions>,
    tasks: JoinSet<()>,
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
        services: Vec<Service>,
        capture: Capture,
        sink: Sink,
        conditions: watch::Receiver<Conditions>,
        told: watch::Sender<Report>,
    ) -> Self {
        Self {
            plan,
            hosts: Hosts::new(services.iter().map(|service| service.host.as_str())),
            services,
            capture,
            capture_failed: None,
            refusals: Refusals::new(sink.clone()),
            sink,
            conditions,
            tasks: JoinSet::new(),
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
            tracing::debug!(link = self.report.links, "the machine's network card is connected");
            match self.attend(stream, &mut stop).await {
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
        let mut stack = Stack::new(&self.plan, &self.services, self.report.links);
        let mut reader = FrameReader::new();
        let mut writer = FrameWriter::default();
        let mut changes = self.conditions.clone();
        loop {
            for service in &changes.borrow_and_update().down {
                stack.reset(service);
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
            self.report.connections += stack.take_accepted();
            self.reap();
            self.flush();
            self.tell();
            let delay = stack.delay().filter(|_| writer.has_room());
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

    /// One frame from the machine.
    fn receive(&mut self, frame: &[u8], stack: &mut Stack, writer: &mut FrameWriter) {
        self.report.frames_in += 1;
        self.record(Direction::Inbound, frame);
        let verdict = {
            let conditions = self.conditions.borrow();
            if !conditions.link {
                return;
            }
            let serves = |port| {
                self.services
                    .iter()
                    .any(|service| service.port == port && !conditions.down.contains(&service.name))
            };
            judge(frame, &self.plan, serves)
        };
        match verdict {
            Verdict::Stack => stack.take(frame),
            Verdict::Dhcp(message) => {
                if let Some(answer) = dhcp::answer(message, &self.plan) {
                    self.report.leases += u64::from(answer.granted);
                    self.send(writer, &answer.frame);
                }
            }
            Verdict::Dns(query) => {
                let Some(answer) = dns::answer(query.message, &self.hosts, self.plan.gateway)
                else {
                    return;
                };
                if let Some(to) = answer.unknown {
                    self.refusals.add(Refusal { protocol: "dns", to });
                }
                if let Some(frame) = dns::frame(&query, &answer.message, &self.plan) {
                    self.send(writer, &frame);
                }
            }
            Verdict::Announcement => {}
            Verdict::Refused(refusal) => self.refusals.add(refusal),
        }
    }

    /// One frame to the machine; lost where the link is.
    fn send(&mut self, writer: &mut FrameWriter, frame: &[u8]) {
        if !self.conditions.borrow().link {
            return;
        }
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
