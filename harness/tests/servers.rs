//! Servers that are not ours in pods of the lab: dnsmasq behind the DNS proxy of an agent, which learns from its answers
//! what a policy for names lets through, and haproxy behind the datapath, both asked by dig and curl.
//!
//! Needs root and those programs. Elsewhere the trial is reported as ignored, and fails in CI as root.

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

const CASE: &str = r#"
title: Servers of one's own
dialect: cilium
world:
  pods:
    client: { labels: { app: client } }
    web: { labels: { app: web }, serves: [9/UDP] }
    kube-system/dns: { labels: { k8s-app: kube-dns }, serves: [9/UDP] }
  services:
    kube-system/kube-dns:
      selector: { k8s-app: kube-dns }
      ports: [{ name: dns, port: 53, protocol: UDP }, { name: dns-tcp, port: 53 }]
  internet:
    203.0.113.10: { serves: [80] }
    203.0.113.11: { serves: [80] }
steps:
  - name: names
    apply:
      - apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: { name: client }
        spec:
          endpointSelector: { matchLabels: { app: client } }
          egress:
            - toFQDNs: [{ matchName: www.example.com }]
            - toEndpoints: [{ matchLabels: { app: web } }]
            - toEndpoints:
                - matchLabels: { "k8s:io.kubernetes.pod.namespace": kube-system, k8s-app: kube-dns }
              toPorts:
                - ports: [{ port: "53", protocol: ANY }]
                  rules: { dns: [{ matchPattern: "*.example.com" }] }
    expect:
      client -> 203.0.113.10:80: { client: timeout, egress: dropped }
"#;

const HAPROXY: &str = "\
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend web
  bind :80
  http-request deny deny_status 403 if { path_beg /secret }
  http-request return status 200 content-type text/plain string haproxy
";

/// What the client does, a line for each answer. Nobody tells when the servers listen: they are asked until they do.
const CLIENT: &str = r#"
tries=0
until dig +tries=1 +time=1 www.example.com | grep -q NOERROR && curl -s -o /dev/null "http://$WEB/"; do
  tries=$((tries + 1)); [ $tries -lt 100 ] || exit 7
done
code() { curl -s -o /dev/null -m 2 -w '%{http_code}' "$@" || true; echo; }
status() { dig "$@" | sed -n 's/.*status: \([A-Z]*\),.*/\1/p'; }
echo "canonical: $(dig +short www.example.com | tr '\n' ' ')"
echo "both families: $(dig +short www.example.com AAAA | tail -n 1)"
echo "learned: $(code http://www.example.com/)"
echo "not learned: $(code http://203.0.113.11/)"
echo "no such name: $(status gone.example.com)"
echo "refused by policy: $(status www.example.net)"
echo "over TCP: $(dig +noedns big.example.com | sed -n 's/.*ANSWER: \([0-9]*\),.*/\1/p')"
echo "kept alive: $(curl -s -m 2 -o /dev/null -o /dev/null -w '%{http_code}/%{num_connects} ' "http://$WEB/a" "http://$WEB/b")"
echo "forbidden: $(code "http://$WEB/secret")"
"#;

const EXPECTED: &str = "\
canonical: edge.example.com. 203.0.113.10 \n\
both families: 2001:db8::10\n\
learned: 200\n\
not learned: 000\n\
no such name: NXDOMAIN\n\
refused by policy: REFUSED\n\
over TCP: 60\n\
kept alive: 200/1 200/0 \n\
forbidden: 403\n";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = nix::unistd::geteuid().is_root();
    let mut missing = Vec::new();
    for program in ["dnsmasq", "haproxy", "dig", "curl"] {
        let found =
            Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            missing.push(program);
        }
    }
    if !root || !missing.is_empty() {
        eprintln!("servers in pods need root and programs; missing: {missing:?}, root: {root}");
        if root && std::env::var_os("CI").is_some_and(|value| value == "true") {
            return ExitCode::FAILURE;
        }
    }
    let trial = Trial::test("dnsmasq and haproxy serve pods under policy", served);
    let trial = trial.with_ignored_flag(!root || !missing.is_empty());
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn served() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).map(|()| path.display().to_string())
    };
    let many: String = (1..=60).map(|last| format!("203.0.113.{last} big.example.com\n")).collect();
    let (case, hosts, haproxy) =
        (file("own.yaml", CASE)?, file("hosts", &many)?, file("haproxy.cfg", HAPROXY)?);
    let dns = format!(
        "kube-system/dns=exec dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --addn-hosts={hosts} \
         --local=/example.com/ --local=/example.net/ --local=/cluster.local/ \
         --host-record=edge.example.com,203.0.113.10,2001:db8::10 --cname=www.example.com,edge.example.com"
    );
    let web = format!("web=exec haproxy -db -f {haproxy}");
    let mut lab = Command::new(env!("CARGO_BIN_EXE_egret"));
    lab.args(["lab", "run", &case, "--serve", &dns, "--serve", &web, "--", "client", "sh", "-c", CLIENT]);
    // Pods have their addresses in the order of their names.
    let output = lab.env("WEB", "10.0.1.11").stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said != EXPECTED || !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {said}\n{complaint}", output.status).into());
    }
    Ok(())
}
