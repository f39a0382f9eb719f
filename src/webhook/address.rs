//! Which addresses a server calls: those of the public Internet, and of networks that its
//! operator has allowed. Whoever may set a URL must not reach through it what is beside the
//! server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::LazyLock;

use ipnet::IpNet;
use reqwest::Url;
use url::Host;

/// The setting that allows networks, for messages that say so.
pub const SETTING: &str = "BOBBIN_DELIVERY_NETWORKS";

/// What is not the public Internet, by the registries of special-purpose addresses. The first
/// one that fits names an address, so what is narrower comes first.
const SPECIAL: [(&str, &str); 32] = [
    ("0.0.0.0/32", "the unspecified address"),
    ("0.0.0.0/8", "an address of this network"),
    ("10.0.0.0/8", "a private address"),
    ("100.64.0.0/10", "an address behind a carrier's NAT"),
    ("127.0.0.0/8", "a loopback address"),
    ("168.63.129.16/32", "the address of a cloud's own services"),
    ("169.254.0.0/16", "a link-local address"),
    ("172.16.0.0/12", "a private address"),
    ("192.0.0.0/24", "an address for protocols"),
    ("192.0.2.0/24", "an address for documentation"),
    ("192.88.99.0/24", "a 6to4 relay"),
    ("192.168.0.0/16", "a private address"),
    ("198.18.0.0/15", "an address for benchmarks"),
    ("198.51.100.0/24", "an address for documentation"),
    ("203.0.113.0/24", "an address for documentation"),
    ("224.0.0.0/4", "a multicast address"),
    ("255.255.255.255/32", "the broadcast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::/128", "the unspecified address"),
    ("::1/128", "a loopback address"),
    ("::/96", "an IPv4 address in another form"),
    ("64:ff9b::/96", "an IPv4 address behind a NAT64"),
    ("64:ff9b:1::/48", "an IPv4 address behind a NAT64"),
    ("100::/64", "an address that discards"),
    ("2001:db8::/32", "an address for documentation"),
    ("2001::/23", "an address for protocols"),
    ("2002::/16", "an IPv4 address behind 6to4"),
    ("3fff::/20", "an address for documentation"),
    ("fc00::/7", "a private address"),
    ("fe80::/10", "a link-local address"),
    ("fec0::/10", "a private address"),
    ("ff00::/8", "a multicast address"),
];

/// Where the Internet's addresses of version 6 are.
const UNICAST: &str = "2000::/3";

/// The table, read.
static NOT_PUBLIC: LazyLock<Vec<(IpNet, &str)>> = LazyLock::new(|| {
    let read = |(network, kind): (&str, &'static str)| {
        (network.parse().expect("a network of the table"), kind)
    };
    SPECIAL.into_iter().map(read).collect()
});

/// Networks that may be called though they are not the public Internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let read = |part: &str| {
            let one = || part.parse::<IpAddr>().map(IpNet::from);
            let network = part.parse::<IpNet>().or_else(|_| one());
            network.map_err(|_| format!("{part} is no network such as 10.0.0.0/8 or fd00::/8"))
        };
        parts.map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl Networks {
    /// Why an address is not called; none: it is.
    pub fn refusal(&self, address: IpAddr) -> Option<String> {
        // ::ffff:127.0.0.1 is the same host as 127.0.0.1.
        let plain = address.to_canonical();
        if self.0.iter().any(|network| network.contains(&plain)) {
            return None;
        }
        let kind = special(plain)?;
        Some(format!(
            "{address} is {kind}, which this server does not call ({SETTING} allows it)"
        ))
    }

    /// Reads a URL that is being set, as `url` does; names that are this machine's everywhere are
    /// refused, too, if no loopback address may be called.
    pub fn new_url(&self, text: &str) -> Result<Url, String> {
        let url = self.url(text)?;
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let name = url.domain().unwrap_or_default().trim_end_matches('.');
        let local = name == "localhost" || name.ends_with(".localhost");
        if local && loopback.iter().all(|one| self.refusal(*one).is_some()) {
            return Err(format!(
                "{name} is this machine, which this server does not call ({SETTING} allows its address)"
            ));
        }
        Ok(url)
    }

    /// Reads the URL of a webhook; what is wrong with it, if it is none that may be called. Names
    /// are resolved when they are called, and judged then.
    pub fn url(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|_| "must be an http or https URL".to_owned())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("must be an http or https URL".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must have no user and no password".to_owned());
        }
        match self.literal(&url) {
            Some(refusal) => Err(refusal),
            None => Ok(url),
        }
    }

    /// Why the address that stands in a URL itself is not called, if there is one.
    fn literal(&self, url: &Url) -> Option<String> {
        // The odd forms (0x7f.1, 2130706433, 017700000001) are read as browsers do by now.
        match url.host()? {
            Host::Ipv4(address) => self.refusal(address.into()),
            Host::Ipv6(address) => self.refusal(address.into()),
            Host::Domain(_) => None,
        }
    }
}

/// What an address is, if it is not of the public Internet.
fn special(address: IpAddr) -> Option<&'static str> {
    let mut known = NOT_PUBLIC.iter();
    let known = known.find(|(network, _)| network.contains(&address));
    let unicast = || {
        UNICAST
            .parse::<IpNet>()
            .is_ok_and(|all| all.contains(&address))
    };
    match known {
        Some((_, kind)) => Some(*kind),
        None if address.is_ipv6() && !unicast() => Some("no address of the public Internet"),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<String> {
        Networks::default().refusal(text.parse().expect(text))
    }

    #[test]
    fn what_is_not_public_is_refused_by_name() {
        for (address, kind) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "this network"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("168.63.129.16", "a cloud's own"),
            ("100.64.0.1", "NAT"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.9", "documentation"),
            ("198.19.0.1", "benchmarks"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("241.0.0.1", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("::127.0.0.1", "another form"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("64:ff9b:1::a00:1", "NAT64"),
            ("2002:7f00:1::", "6to4"),
            ("2001:0:7f00:1::", "protocols"),
            ("2001:db8::1", "documentation"),
            ("3fff::1", "documentation"),
            ("fd00::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "private"),
            ("ff02::1", "multicast"),
            ("100::1", "discards"),
            ("4000::1", "public Internet"),
        ] {
            let refusal = refused(address).unwrap_or_else(|| panic!("{address} is called"));
            assert!(refusal.contains(kind), "{address}: {refusal}");
            let read: IpAddr = address.parse().expect(address);
            assert!(refusal.starts_with(&read.to_string()), "{refusal}");
        }
    }

    #[test]
    fn what_is_public_is_called() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
        ] {
            assert_eq!(refused(address), None);
        }
    }

    #[test]
    fn every_network_of_the_table_is_one() {
        for (network, _) in NOT_PUBLIC.iter() {
            assert_eq!(network.trunc(), *network);
        }
    }

    #[test]
    fn the_setting_allows_networks_and_nothing_beside_them() {
        let allowed: Networks = "10.0.0.0/8, ::1,127.0.0.1".parse().expect("networks");
        for address in ["10.9.8.7", "::1", "127.0.0.1", "::ffff:10.0.0.1"] {
            assert_eq!(allowed.refusal(address.parse().expect(address)), None);
        }
        for address in ["127.0.0.2", "192.168.0.1", "::2", "64:ff9b::a00:1"] {
            assert!(allowed.refusal(address.parse().expect(address)).is_some());
        }
        assert_eq!("".parse(), Ok(Networks::default()));
        for bad in ["10.0.0.0/33", "localhost", "10.0.0.0/8;::1"] {
            assert!(bad.parse::<Networks>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_is_judged_by_the_address_in_it_in_every_form() {
        let none = Networks::default();
        for bad in [
            "http://127.0.0.1/hook",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://127.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]:8080/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://①②⑦.0.0.1/",
        ] {
            let why = none.url(bad).expect_err(bad);
            assert!(why.contains("address") && why.contains(SETTING), "{why}");
        }
        for bad in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "example.com",
            "/hook",
            "http://",
            "http://ada@example.com/",
            "https://ada:secret@example.com/",
        ] {
            assert!(none.url(bad).is_err(), "{bad}");
        }
        for good in ["https://example.com/hook?a=b", "http://1.1.1.1:8080/"] {
            assert!(none.url(good).is_ok(), "{good}");
        }
        let allowed: Networks = "127.0.0.0/8".parse().expect("a network");
        assert!(allowed.url("http://0x7f.1:9/").is_ok());
    }

    #[test]
    fn names_of_this_machine_are_not_set_unless_its_addresses_may_be_called() {
        let none = Networks::default();
        for bad in [
            "http://localhost/",
            "http://LOCALHOST:9/",
            "http://localhost./",
            "http://a.localhost/",
        ] {
            let why = none.new_url(bad).expect_err(bad);
            assert!(why.contains(SETTING), "{why}");
        }
        assert!(none.new_url("http://localhost.example.com/").is_ok());
        assert!(none.new_url("http://127.0.0.1/").is_err());
        for network in ["127.0.0.0/8", "::1"] {
            let allowed: Networks = network.parse().expect("a network");
            assert!(allowed.new_url("http://localhost/").is_ok());
        }
    }
}
