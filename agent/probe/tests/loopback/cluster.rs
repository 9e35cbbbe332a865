//! The cluster's DNS server and the Internet's authority, asked by our own client.

use egret_core::probe::Record;
use egret_core::world::{Service, World, Zone};
use egret_core::{ObjectName, world};
use egret_probe::serve_authority;
use rstest::rstest;

use super::*;

/// A world with a service, a headless service with one backend, and a few names of the Internet.
fn mk_world() -> World {
    let mut world = World::default();
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    world.services.insert(
        ObjectName::new("default", "web"),
        Service { cluster_ips: vec![address("10.96.0.20"), address("fd00::20")], ..Service::default() },
    );
    let labels = egret_core::Labels::from([("app".into(), "db".into())]);
    world
        .services
        .insert(ObjectName::new("x", "db"), Service { selector: Some(labels.clone()), ..Service::default() });
    world.pods.insert(
        ObjectName::new("x", "db-0").into(),
        world::Pod { labels, addresses: vec![address("10.0.1.9")], ..world::Pod::default() },
    );
    let mut name = |name: &str, addresses: Vec<IpAddr>, cname: Option<&str>| {
        let zone = Zone { addresses, cname: cname.map(str::to_owned), ttl: 60 };
        world.internet.names.insert(name.into(), zone);
    };
    name("api.github.com", vec![address("140.82.121.6"), address("2001:db8::6")], None);
    name("www.example.com", vec![], Some("edge.example.net"));
    name("edge.example.net", vec![], Some("host.example.net"));
    name("host.example.net", vec![address("203.0.113.7")], None);
    name("broken.example.com", vec![], Some("gone.example.net"));
    name("circle.example.com", vec![], Some("circle.example.com"));
    name("big.example.com", (0..60).map(|n| IpAddr::V4(Ipv4Addr::new(203, 0, 113, n))).collect(), None);
    world
}

/// A running pair of servers, and a client of the cluster's.
struct Cluster {
    zones: Zones,
    client: Client<'static>,
    _servers: [Server; 2],
}

impl Cluster {
    fn start(with_authority: bool) -> Self {
        let authority = SocketAddr::new(server(), free_port());
        let zones = Zones::with_authority(authority);
        zones.set(&mk_world()).expect("a valid world");
        let port = free_port();
        let serves = [Protocol::Udp, Protocol::Tcp]
            .map(|protocol| (server(), mk_serve(port, protocol, Application::ClusterDns)));
        let dns = serve(&ThisNetwork, &serves, "kube-system/kube-dns", &zones).expect("serve");
        let internet = match with_authority {
            true => serve_authority(&ThisNetwork, authority, &zones).expect("serve"),
            false => Server::default(),
        };
        let search = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"];
        let resolver = Resolver {
            server: SocketAddr::new(server(), port),
            search: search.map(str::to_owned).to_vec(),
            ndots: 5,
        };
        Self { zones, client: mk_client(Some(resolver)), _servers: [dns, internet] }
    }

    async fn ask(&self, name: &str, record: Record) -> Report {
        probe(&self.client, &Exchange::Dns { name: name.to_owned(), record }).await
    }
}

#[rstest]
#[case::service("web", Record::A, Outcome::Ok, &["10.96.0.20"], 1)]
#[case::service_ipv6("web.default", Record::Aaaa, Outcome::Ok, &["fd00::20"], 2)]
#[case::full_name("web.default.svc.cluster.local.", Record::A, Outcome::Ok, &["10.96.0.20"], 1)]
#[case::headless("db.x", Record::A, Outcome::Ok, &["10.0.1.9"], 2)]
#[case::no_service("nothing.x.svc.cluster.local.", Record::A, Outcome::NxDomain, &[], 1)]
#[case::internet("api.github.com", Record::A, Outcome::Ok, &["140.82.121.6"], 4)]
#[case::any_case("API.GitHub.com.", Record::A, Outcome::Ok, &["140.82.121.6"], 1)]
#[case::internet_ipv6("api.github.com.", Record::Aaaa, Outcome::Ok, &["2001:db8::6"], 1)]
#[case::cname("www.example.com", Record::A, Outcome::Ok, &["203.0.113.7"], 4)]
#[case::cname_without_that_type("www.example.com.", Record::Aaaa, Outcome::NxDomain, &[], 1)]
#[case::cname_to_nowhere("broken.example.com.", Record::A, Outcome::NxDomain, &[], 1)]
#[case::cname_in_a_circle("circle.example.com.", Record::A, Outcome::ServFail, &[], 1)]
#[case::unknown("unknown.example.com", Record::A, Outcome::NxDomain, &[], 4)]
#[tokio::test]
async fn names(
    #[case] name: &str,
    #[case] record: Record,
    #[case] outcome: Outcome,
    #[case] addresses: &[&str],
    #[case] queries: usize,
) {
    let report = Cluster::start(true).ask(name, record).await;
    assert_eq!(report.outcome, outcome);
    assert_eq!(report.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>(), addresses);
    assert_eq!(report.attempts.len(), queries);
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let report = Cluster::start(true).ask("big.example.com.", Record::A).await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(report.addresses.len(), 60);
    assert_eq!(report.attempts.len(), 2);
}

#[tokio::test]
async fn a_change_reaches_running_servers() {
    let cluster = Cluster::start(true);
    let mut world = mk_world();
    assert_eq!(cluster.ask("new.example.com.", Record::A).await.outcome, Outcome::NxDomain);
    let zone = Zone { addresses: vec![server()], cname: None, ttl: 1 };
    world.internet.names.insert("new.example.com".into(), zone);
    cluster.zones.set(&world).expect("a valid world");
    assert_eq!(cluster.ask("new.example.com.", Record::A).await.addresses, [server()]);
    world.internet.names.insert("not..a.name".into(), Zone::default());
    assert!(matches!(cluster.zones.set(&world), Err(ProbeError::InvalidName { .. })));
    assert_eq!(cluster.ask("new.example.com.", Record::A).await.addresses, [server()], "as before");
}

#[tokio::test]
async fn an_authority_that_cannot_be_reached_is_servfail() {
    let report = Cluster::start(false).ask("api.github.com.", Record::A).await;
    assert_eq!(report.outcome, Outcome::ServFail);
}
