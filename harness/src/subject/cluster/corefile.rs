//! CoreDNS's configuration, changed so that every name outside the cluster is asked for at one server and not remembered.
//!
//! A Corefile is server blocks of directives, some with a block of their own, one a line; braces stand at the ends of
//! lines (coredns.io/manual/configuration).

use std::net::IpAddr;

/// Directives that change what comes from outside, or keep it: answers have to be the running case's, in its order.
const LEFT_OUT: [&str; 2] = ["cache", "loadbalance"];

/// The same configuration with the way out for every other name, `forward . …`, leading to `server` alone, and
/// without memory; `None` when there is no such directive.
pub(super) fn forwarding_to(corefile: &str, server: IpAddr) -> Option<String> {
    let mut changed = String::new();
    let mut depth = 0_usize;
    // The depth at which a directive that is left out began, while its block goes on.
    let mut skipping = None;
    let mut led = false;
    for line in corefile.lines() {
        let code = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = code.split_whitespace().collect();
        let opens = code.matches('{').count();
        let closes = code.matches('}').count();
        let is_directive = depth == 1 && skipping.is_none();
        let ways_out = words.first() == Some(&"forward") && words.get(1) == Some(&".");
        let goes = is_directive && (ways_out || words.first().is_some_and(|word| LEFT_OUT.contains(word)));
        if goes && ways_out {
            let indent = line.chars().take_while(|letter| letter.is_whitespace());
            changed.extend(indent);
            changed += &format!("forward . {server}\n");
            led = true;
        }
        if goes && opens > closes {
            skipping = Some(depth);
        }
        if !goes && skipping.is_none() {
            changed += line;
            changed.push('\n');
        }
        depth = depth.saturating_add(opens).saturating_sub(closes);
        if skipping == Some(depth) {
            skipping = None;
        }
    }
    led.then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kubeadm writes it.
    const KUBEADM: &str = "\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
";

    fn server() -> IpAddr {
        "192.0.2.53".parse().unwrap()
    }

    #[test]
    fn what_kubeadm_writes() {
        insta::assert_snapshot!(forwarding_to(KUBEADM, server()).unwrap(), @r"
        .:53 {
            errors
            health {
               lameduck 5s
            }
            ready
            kubernetes cluster.local in-addr.arpa ip6.arpa {
               pods insecure
               fallthrough in-addr.arpa ip6.arpa
               ttl 30
            }
            prometheus :9153
            forward . 192.0.2.53
            loop
            reload
        }
        ");
    }

    #[test]
    fn other_zones_and_comments_stay() {
        let text = "corp.example:53 {\n  forward corp.example 10.0.0.1\n}\n\
                    . { # everything {\n  forward . 8.8.8.8 9.9.9.9 # out\n  cache\n  log\n}\n";
        let expected = "corp.example:53 {\n  forward corp.example 10.0.0.1\n}\n\
                        . { # everything {\n  forward . 192.0.2.53\n  log\n}\n";
        assert_eq!(forwarding_to(text, server()).as_deref(), Some(expected));
    }

    #[test]
    fn without_a_way_out_nothing_can_be_led() {
        assert_eq!(forwarding_to(".:53 {\n    file db.example\n}\n", server()), None);
        assert_eq!(forwarding_to("", server()), None);
    }
}
