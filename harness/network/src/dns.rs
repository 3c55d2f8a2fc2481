//! The DNS server: knows the hosts of the services and nothing else, a pure function.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use etherparse::PacketBuilder;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::filter::Query;
use crate::plan::AddressPlan;

/// How long a machine may keep an answer. Short: a scenario may take a service away.
const TTL_SECONDS: u32 = 5;
/// Classic DNS over UDP (RFC 1035, section 4.2.1).
const MESSAGE_LIMIT: usize = 512;

/// An answer, and what it says about the machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The message.
    pub(crate) message: Vec<u8>,
    /// The name, where no service has it (`NXDOMAIN`).
    pub(crate) unknown: Option<String>,
}

/// The names that there are.
#[derive(Debug, Clone)]
pub(crate) enum Hosts {
    /// Those of the services, in lower case and without the dot at the end.
    Of(BTreeSet<String>),
    /// Whatever is asked for.
    Any,
}

impl Hosts {
    pub(crate) fn new<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Of(hosts.into_iter().map(plain).collect())
    }

    fn knows(&self, name: &Name) -> bool {
        match self {
            Self::Of(hosts) => hosts.contains(&plain(&name.to_ascii())),
            Self::Any => true,
        }
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// True for a name that can stand in the DNS.
pub(crate) fn is_host_name(name: &str) -> bool {
    !name.trim_end_matches('.').is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && Name::from_ascii(name).is_ok()
}

/// Answers one message: the harness's address for `A` of a service's host, an empty answer for other
/// types, `NXDOMAIN` for other names. Nothing where it is not a query with exactly one question.
pub(crate) fn answer(message: &[u8], hosts: &Hosts, address: Ipv4Addr) -> Option<Answer> {
    if message.len() > MESSAGE_LIMIT {
        return None;
    }
    let query = Message::from_vec(message).ok()?;
    if query.message_type() != MessageType::Query || query.op_code() != OpCode::Query {
        return None;
    }
    let [question] = query.queries() else { return None };
    let mut reply = Message::new();
    reply
        .set_id(query.id())
        .set_message_type(MessageType::Response)
        .set_op_code(OpCode::Query)
        .set_recursion_desired(query.recursion_desired())
        .set_recursion_available(true)
        .set_authoritative(true)
        .add_query(question.clone());
    let mut unknown = None;
    if !hosts.knows(question.name()) {
        reply.set_response_code(ResponseCode::NXDomain);
        unknown = Some(plain(&question.name().to_ascii()));
    } else if question.query_type() == RecordType::A && question.query_class() == DNSClass::IN {
        let data = RData::A(A(address));
        reply.add_answer(Record::from_rdata(question.name().clone(), TTL_SECONDS, data));
    }
    Some(Answer { message: reply.to_vec().ok()?, unknown })
}

/// The frame that carries an answer back.
pub(crate) fn frame(query: &Query<'_>, message: &[u8], plan: &AddressPlan) -> Option<Vec<u8>> {
    let mut frame = Vec::with_capacity(message.len() + 42);
    PacketBuilder::ethernet2(plan.mac, query.mac)
        .ipv4(plan.gateway.octets(), query.address.octets(), 64)
        .udp(53, query.port)
        .write(&mut frame, message)
        .ok()?;
    Some(frame)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query as Question;
    use proptest::prelude::*;

    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

    fn hosts() -> Hosts {
        Hosts::new(["Update.loopbreak.test"])
    }

    fn ask(name: &str, kind: RecordType) -> (Message, Option<String>) {
        let mut query = Message::new();
        query.set_id(99).add_query(Question::query(Name::from_ascii(name).unwrap(), kind));
        let answer = answer(&query.to_vec().unwrap(), &hosts(), ADDRESS).unwrap();
        let reply = Message::from_vec(&answer.message).unwrap();
        assert_eq!(reply.id(), 99);
        (reply, answer.unknown)
    }

    #[test]
    fn a_service_has_the_address_in_any_case_of_letters() {
        for name in ["update.loopbreak.test.", "UPDATE.Loopbreak.TEST"] {
            let (reply, unknown) = ask(name, RecordType::A);
            assert_eq!(unknown, None);
            assert_eq!(reply.response_code(), ResponseCode::NoError);
            let [record] = reply.answers() else { panic!("{reply}") };
            assert_eq!(*record.data(), RData::A(A(ADDRESS)));
        }
    }

    #[test]
    fn other_types_are_empty_and_other_names_do_not_exist() {
        let (reply, unknown) = ask("update.loopbreak.test.", RecordType::AAAA);
        assert_eq!((reply.response_code(), reply.answers().len()), (ResponseCode::NoError, 0));
        assert_eq!(unknown, None);
        let (reply, unknown) = ask("time.windows.com.", RecordType::A);
        assert_eq!((reply.response_code(), reply.answers().len()), (ResponseCode::NXDomain, 0));
        assert_eq!(unknown.as_deref(), Some("time.windows.com"));
        assert!(ask("sub.update.loopbreak.test.", RecordType::A).1.is_some());
    }

    #[test]
    fn where_every_name_leads_to_one_place_no_name_is_unknown() {
        let mut query = Message::new();
        query
            .set_id(7)
            .add_query(Question::query(Name::from_ascii("bank.test.").unwrap(), RecordType::A));
        let found = answer(&query.to_vec().unwrap(), &Hosts::Any, ADDRESS).unwrap();
        let reply = Message::from_vec(&found.message).unwrap();
        let [record] = reply.answers() else { panic!("{reply}") };
        assert_eq!((record.data(), found.unknown), (&RData::A(A(ADDRESS)), None));
    }

    #[test]
    fn host_names_are_checked() {
        for good in ["update.loopbreak.test", "a", "x-1.test."] {
            assert!(is_host_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", ".", "a b", "ä.test", "a..b", long.as_str()] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hostile_messages_never_panic(
            mut message in prop::collection::vec(any::<u8>(), 0..520),
            shaped in any::<bool>(),
        ) {
            if shaped && message.len() > 12 {
                message[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            let _ = answer(&message, &hosts(), ADDRESS);
        }
    }
}
