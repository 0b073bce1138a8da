// Tunnels: what carries the paths towards the cluster.
#include "paths/catalogue.h"

namespace redoubt::paths {

namespace {

constexpr Text kReverseDefaults[] = {
    {"On: every agent keeps a tunnel to each API server, on the API server's own port.",
     "An: Jeder Agent hält einen Tunnel zu jedem API-Server, auf dessen eigenem Port."},
    {"A tunnel carries its own node's kubelet, addresses and pods, and nothing else; both ends check.",
     "Ein Tunnel führt zum Kubelet, zu den Adressen und Pods des eigenen Knotens und sonst nirgendwohin; beide Enden "
     "prüfen es."},
};
constexpr Flag kReverseFlags[] = {
    {"redoubt agent",
     "--tunnel",
     {"false keeps none; the kubelet then listens on all addresses",
      "false hält keinen; der Kubelet lauscht dann auf allen Adressen"}},
    {"redoubt server",
     "--nodes-without-tunnel",
     {"direct (default: verified TLS only) or refuse", "direct (Vorgabe: nur geprüftes TLS) oder refuse"}},
};
constexpr Test kReverseTests[] = {
    {"tests/testbed/test_reverse_tunnel.py",
     "test_the_attackers_capture_holds_no_plaintext",
     {"nothing readable is in the capture", "im Mitschnitt ist nichts lesbar"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_an_impostor_with_another_authority_gets_nothing",
     {"an agent tells an impostor nothing", "ein Agent sagt einem Hochstapler nichts"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_a_node_opens_no_tunnel_but_its_own",
     {"a node's certificate opens no tunnel of another", "das Zertifikat eines Knotens öffnet keinen fremden Tunnel"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_nobody_else_opens_a_tunnel",
     {"without, with a wrong or expired credential: refused",
      "ohne, mit falschen oder abgelaufenen Anmeldedaten: abgewiesen"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_a_node_gets_no_traffic_of_another",
     {"no node gets another's traffic", "kein Knoten erhält den Verkehr eines anderen"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_link_cut_leaves_no_stream_hanging",
     {"a cut link ends its streams", "ein gekappter Weg beendet seine Verbindungen"}},
};

constexpr Text kKonnectivityDefaults[] = {
    {"Agents must authenticate; upstream lets every agent in unless told otherwise.",
     "Agenten müssen sich ausweisen; bei Upstream darf ohne weitere Angaben jeder Agent herein."},
    {"Health and metrics are bound to loopback.", "Zustand und Metriken sind an Loopback gebunden."},
};
constexpr Flag kKonnectivityFlags[] = {
    {"redoubt server",
     "--egress-selector-config-file",
     {"an EgressSelectorConfiguration that names the proxy server",
      "eine EgressSelectorConfiguration, die den Proxy-Server nennt"}},
    {"redoubt konnectivity-server",
     "--cluster-ca-cert",
     {"whose certificates agents must have", "wessen Zertifikate Agenten haben müssen"}},
    {"redoubt konnectivity-agent",
     "--allow-destinations",
     {"what the agent may be asked to dial", "wohin der Agent verbinden darf"}},
};
constexpr Test kKonnectivityTests[] = {
    {"tests/interop/test_konnectivity.py",
     "test_http_connect_over_mutual_tls",
     {"mutual TLS, with upstream's halves", "beidseitiges TLS, mit den Hälften von Upstream"}},
    {"tests/interop/test_konnectivity.py",
     "test_agent_of_another_authority_is_refused",
     {"a strange agent is refused", "ein fremder Agent wird abgewiesen"}},
    {"tests/interop/test_konnectivity.py",
     "test_agent_keeps_to_its_destinations",
     {"an agent dials what it may", "ein Agent verbindet nur, wohin er darf"}},
    {"tests/testbed/test_konnectivity_tunnel.py",
     "test_a_nodes_certificate_opens_no_tunnel_of_another",
     {"an agent serves its own node only", "ein Agent dient nur dem eigenen Knoten"}},
    {"tests/testbed/test_konnectivity_tunnel.py",
     "test_the_attackers_capture_holds_no_plaintext",
     {"nothing readable is in the capture", "im Mitschnitt ist nichts zu lesen"}},
    {"tests/unit/egress/konnectivity/tunnel_test.cc",
     "RefusedAgentGetsNothing",
     {"a refused agent gets no traffic", "ein abgewiesener Agent erhält keinen Verkehr"}},
};

constexpr Text kSshDefaults[] = {
    {"Off. A node of which no host key is known is not dialled.",
     "Aus. Ein Knoten, dessen Host-Schlüssel nicht bekannt ist, wird nicht angewählt."},
    {"A connection carries its own node's kubelet, addresses and pods, and nothing else.",
     "Eine Verbindung führt den Kubelet, die Adressen und die Pods des eigenen Knotens, sonst nichts."},
};
constexpr Flag kSshFlags[] = {
    {"redoubt server",
     "--ssh-user, --ssh-keyfile",
     {"who logs in, and with which key; a new one is used without a restart",
      "wer sich anmeldet und mit welchem Schlüssel; ein neuer gilt ohne Neustart"}},
    {"redoubt server", "--ssh-known-hosts", {"the host keys of nodes", "die Host-Schlüssel der Knoten"}},
    {"redoubt agent",
     "--ssh-host-keys",
     {"the public keys that the node publishes", "die öffentlichen Schlüssel, die der Knoten veröffentlicht"}},
};
constexpr Test kSshTests[] = {
    {"tests/testbed/test_ssh_tunnel.py",
     "test_the_attackers_capture_holds_no_plaintext",
     {"nothing readable is in the capture", "im Mitschnitt ist nichts zu lesen"}},
    {"tests/testbed/test_ssh_tunnel.py",
     "test_an_impostor_with_another_host_key_gets_nothing",
     {"an impostor gets no login", "ein Hochstapler bekommt keine Anmeldung"}},
    {"tests/unit/egress/ssh/dialer_test.cc",
     "CarriesNothingButTheNodesOwnTraffic",
     {"a connection carries its node's traffic only", "eine Verbindung führt nur den Verkehr ihres Knotens"}},
};

constexpr PathFacts kPaths[] = {
    {"tunnel-reverse",
     Direction::Tunnel,
     {"node's agent", "Agent des Knotens"},
     {"API server, its own port", "API-Server, dessen eigener Port"},
     {"mutual TLS, streams back", "beidseitiges TLS, Verbindungen zurück"},
     {"apiserver-kubelet, -node, -pod, -service and webhooks in the cluster",
      "apiserver-kubelet, -node, -pod, -service und Webhooks im Cluster"},
     {"The node dials out and the server opens streams back, so that a node needs no open port. The agent proves "
      "itself by its node certificate, and may "
      "open its own node's tunnel only; it trusts the authority that it pinned when it joined. The kubelet is TLS "
      "again inside the tunnel. See "
      "[tunnels.md](tunnels.md).",
      "Der Knoten wählt hinaus, und der Server öffnet darüber Verbindungen zurück; ein Knoten braucht keinen offenen "
      "Port. Der Agent weist sich durch sein "
      "Knotenzertifikat aus und darf nur den Tunnel des eigenen Knotens öffnen; er vertraut der beim Beitritt "
      "festgelegten Stelle. Im Tunnel spricht der Kubelet noch "
      "einmal TLS. Siehe [tunnels.md](tunnels.md)."},
     {"There is none; k3s has one of its own.", "Gibt es nicht; k3s hat einen eigenen."},
     {"Keep tunnels on for nodes across networks that you don't trust.",
      "Lassen Sie Tunnel für Knoten jenseits von Netzen an, denen Sie nicht trauen."},
     {"mutual TLS by node certificate; HTTP/2 streams with their own flow control; a tunnel carries only its own "
      "node's traffic",
      "beidseitiges TLS mit Knotenzertifikat; eigene Flusskontrolle je Verbindung; ein Tunnel führt nur den Verkehr "
      "seines Knotens"},
     kReverseDefaults,
     kReverseFlags,
     kReverseTests},
    {"tunnel-konnectivity",
     Direction::Tunnel,
     {"Konnectivity agent", "Konnectivity-Agent"},
     {"Konnectivity server", "Konnectivity-Server"},
     {"mutual TLS or token", "beidseitiges TLS oder Token"},
     {"the same paths, where an EgressSelectorConfiguration says so",
      "dieselben Pfade, wo eine EgressSelectorConfiguration es sagt"},
     {"`redoubt konnectivity-server` and `konnectivity-agent` work with each other and with upstream's other half. "
      "Agents are authenticated by "
      "client certificate or token. See [konnectivity.md](konnectivity.md).",
      "`redoubt konnectivity-server` und `konnectivity-agent` arbeiten miteinander und mit der jeweils anderen Hälfte "
      "von Upstream. Agenten weisen sich durch "
      "Client-Zertifikat oder Token aus. Siehe [konnectivity.md](konnectivity.md)."},
     {"Off. Where it is set up, the agents' port takes agents without a certificate unless --cluster-ca-cert or an "
      "agent namespace is given.",
      "Aus. Wo es eingerichtet ist, nimmt der Port für Agenten auch solche ohne Zertifikat, außer mit "
      "--cluster-ca-cert oder einem Agenten-Namespace."},
     {"Give the proxy server --cluster-ca-cert or --agent-namespace and --agent-service-account.",
      "Geben Sie dem Proxy-Server --cluster-ca-cert oder --agent-namespace und --agent-service-account."},
     {"mutual TLS or token; EgressSelectorConfiguration; works with the upstream programs",
      "beidseitiges TLS oder Token; EgressSelectorConfiguration; arbeitet mit den Programmen von Upstream"},
     kKonnectivityDefaults,
     kKonnectivityFlags,
     kKonnectivityTests},
    {"tunnel-ssh",
     Direction::Tunnel,
     {"API server", "API-Server"},
     {"node's sshd, port 22", "sshd des Knotens, Port 22"},
     {"SSH, host key verified", "SSH, Host-Schlüssel geprüft"},
     {"the same paths, where SSH is all that a node offers", "dieselben Pfade, wo ein Knoten nur SSH anbietet"},
     {"One SSH connection a node, a direct-tcpip channel a stream. A host key must be in the known-hosts file, or be "
      "published by the node's own Node object; nothing is trusted because it was seen first. The kubelet is TLS again "
      "inside. See [tunnels.md](tunnels.md).",
      "Eine SSH-Verbindung je Knoten, darin ein direct-tcpip-Kanal je Verbindung. Ein Host-Schlüssel muss in der "
      "known-hosts-Datei stehen oder vom Node-Objekt des Knotens veröffentlicht sein; nichts gilt, nur weil es zuerst "
      "gesehen wurde. Darin spricht der Kubelet noch einmal TLS. Siehe [tunnels.md](tunnels.md)."},
     {"Removed in 1.22; host keys were never verified.", "In 1.22 entfernt; Host-Schlüssel wurden nie geprüft."},
     {"Use Konnectivity, or a reverse tunnel.", "Verwenden Sie Konnectivity oder einen Umkehrtunnel."},
     {"key authentication, host keys verified", "Anmeldung mit Schlüssel, Host-Schlüssel geprüft"},
     kSshDefaults,
     kSshFlags,
     kSshTests},
};

}  // namespace

std::span<const PathFacts> tunnel_paths() {
  return kPaths;
}

}  // namespace redoubt::paths
