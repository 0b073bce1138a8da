// From the cluster, and from people, to the control plane: everything ends at the API server's one secure port.
#include "paths/catalogue.h"

namespace redoubt::paths {

namespace {

constexpr Text kClientDefaults[] = {
    {"HTTPS on 6443 and no other port: no plain HTTP, not for health or metrics.",
     "HTTPS auf 6443 und kein weiterer Port: nirgends einfaches HTTP, auch nicht für Zustand oder Metriken."},
    {"TLS 1.2 and newer; in 1.2 only ECDHE with AES-GCM or ChaCha20.",
     "TLS 1.2 und neuer; in 1.2 nur ECDHE mit AES-GCM oder ChaCha20."},
    {"Without a credential: /livez, /readyz, /healthz and the signed cluster-info; 401 for anything else.",
     "Ohne Anmeldedaten: /livez, /readyz, /healthz und die signierte cluster-info; sonst 401."},
    {"Authorization by Node and RBAC; what neither allows is denied.",
     "Autorisierung durch Node und RBAC; was keiner von beiden erlaubt, ist verboten."},
};
constexpr Flag kClientFlags[] = {
    {"redoubt server", "--secure-port", {"the port", "der Port"}},
    {"redoubt server",
     "--tls-min-version",
     {"VersionTLS12 (default) or VersionTLS13", "VersionTLS12 (Vorgabe) oder VersionTLS13"}},
    {"redoubt server", "--tls-cipher-suites", {"a stricter choice of suites", "eine strengere Auswahl von Suiten"}},
    {"redoubt server",
     "--anonymous-auth",
     {"true lets anonymous requests reach authorization, false lets in none",
      "true lässt anonyme Anfragen bis zur Autorisierung, false lässt keine zu"}},
    {"redoubt server", "--authorization-mode", {"default Node,RBAC", "Vorgabe Node,RBAC"}},
};
constexpr Test kClientTests[] = {
    {"tests/e2e/test_credentials.py",
     "test_certificates_that_prove_nothing",
     {"self-signed, expired and foreign certificates are refused by a running server",
      "selbstsignierte, abgelaufene und fremde Zertifikate weist ein laufender Server ab"}},
    {"tests/e2e/test_credentials.py", "test_tokens_that_prove_nothing", {"and wrong tokens", "und falsche Token"}},
    {"tests/e2e/test_paths.py",
     "test_a_sound_control_plane_raises_no_alarm_under_probes",
     {"probes: plain HTTP, old TLS, weak suites, no, made-up and expired credentials",
      "Proben: einfaches HTTP, altes TLS, schwache Suiten, keine, erfundene und abgelaufene Anmeldedaten"}},

    {"tests/unit/apiserver/auth/authenticator_test.cc",
     "LetsNobodyInWithoutCredentialButForHealth",
     {"anonymous reaches health and nothing else", "anonym ist nur der Zustand erreichbar"}},
    {"tests/unit/apiserver/auth/authenticator_test.cc",
     "RefusesCertificatesThatProveNothing",
     {"self-signed, expired and foreign certificates are refused",
      "selbstsignierte, abgelaufene und fremde Zertifikate werden abgewiesen"}},
    {"tests/unit/apiserver/auth/authenticator_test.cc",
     "RefusesForgedTokens",
     {"forged tokens are refused", "gefälschte Token werden abgewiesen"}},
    {"tests/unit/pki/tls_server_test.cc",
     "SpeaksNothingOlderThanItsPolicy",
     {"TLS below 1.2 is refused", "TLS unter 1.2 wird abgewiesen"}},
    {"tests/e2e/test_pod_identity.py",
     "test_anonymous_reaches_health_only",
     {"the same against a running cluster", "dasselbe an einem laufenden Cluster"}},
};

constexpr Text kKubeletDefaults[] = {
    {"The server's authority is pinned by its hash before a joining node sends anything.",
     "Die Zertifizierungsstelle des Servers ist durch ihren Hash festgelegt, bevor ein beitretender Knoten irgendetwas "
     "sendet."},
    {"The client certificate comes from TLS bootstrapping and is renewed between 70 and 90 % of its life.",
     "Das Client-Zertifikat stammt aus dem TLS-Bootstrapping und wird zwischen 70 und 90 % seiner Laufzeit erneuert."},
    {"Node authorizer and NodeRestriction are always on.", "Node-Autorisierung und NodeRestriction sind immer an."},
};
constexpr Flag kKubeletFlags[] = {
    {"redoubt join",
     "--discovery-token-ca-cert-hash",
     {"the authority to expect, sha256:HEX", "die erwartete Zertifizierungsstelle, sha256:HEX"}},
    {"redoubt join", "--token", {"the bootstrap token", "das Bootstrap-Token"}},
    {"redoubt server",
     "--cluster-signing-duration",
     {"how long nodes' certificates live", "Laufzeit der Knotenzertifikate"}},
};
constexpr Test kKubeletTests[] = {
    {"tests/e2e/test_join.py",
     "test_an_impostor_is_told_nothing",
     {"an impostor on the way of a joining node is told nothing",
      "wer sich einem beitretenden Knoten in den Weg stellt, erfährt nichts"}},

    {"tests/e2e/test_join.py",
     "test_wrong_hash",
     {"a server of another authority gets nothing from a joining node",
      "ein Server einer anderen Stelle erhält von einem beitretenden Knoten nichts"}},
    {"tests/e2e/test_join.py",
     "test_expired_token",
     {"an expired token joins nothing", "ein abgelaufenes Token tritt nirgends bei"}},
    {"tests/e2e/test_stolen_node.py",
     "test_others_things_are_not_read",
     {"a node's certificate reads nothing of other nodes' pods",
      "mit dem Zertifikat eines Knotens ist nichts von Pods anderer Knoten lesbar"}},
    {"tests/e2e/test_stolen_node.py",
     "test_client_certificates_of_others",
     {"a node gets no certificate of another name", "ein Knoten erhält kein Zertifikat auf anderen Namen"}},
    {"tests/unit/apiserver/auth/node_restriction_test.cc",
     "KeepsANodeToItsOwnNode",
     {"a node writes itself and no other", "ein Knoten schreibt sich selbst und keinen anderen"}},
    {"tests/e2e/test_rotation.py",
     "test_twenty_rotations_under_load_with_no_failed_request",
     {"certificates rotate while running", "Zertifikate rotieren im Betrieb"}},
};

constexpr Text kPodDefaults[] = {
    {"The token is bound to pod and node, lives an hour and is swapped in place before it ends.",
     "Das Token ist an Pod und Knoten gebunden, gilt eine Stunde und wird vorher an Ort und Stelle ersetzt."},
    {"No tokens that live for ever are made.", "Es entstehen keine Token, die ewig gelten."},
};
constexpr Flag kPodFlags[] = {
    {"redoubt server",
     "--service-account-extend-token-expiration",
     {"default false (upstream: true, a year)", "Vorgabe false (Upstream: true, ein Jahr)"}},
    {"redoubt server",
     "--service-account-issuer",
     {"who the tokens say they are from", "als wessen Token sie sich ausweisen"}},
};
constexpr Test kPodTests[] = {
    {"tests/e2e/test_pod_identity.py",
     "test_service_account_token_and_ca",
     {"CA, namespace and a bound token are in the pod", "CA, Namespace und ein gebundenes Token sind im Pod"}},
    {"tests/unit/apiserver/auth/authenticator_test.cc",
     "EndsATokenWithWhatItIsBoundTo",
     {"a deleted pod's token is worth nothing", "das Token eines gelöschten Pods ist nichts wert"}},
    {"tests/unit/apiserver/auth/authenticator_test.cc",
     "RefusesTokensForOthersAndOutOfTime",
     {"audience and time are checked", "Empfänger und Zeit werden geprüft"}},
    {"tests/e2e/test_stolen_node.py",
     "test_other_pods_tokens",
     {"a node gets tokens of its own pods only", "ein Knoten erhält nur Token seiner eigenen Pods"}},
    {"tests/testbed/test_cluster_traffic.py",
     "test_a_pod_reaches_the_api_server_with_what_was_injected",
     {"from a pod on each node: what RBAC allows and no more",
      "von einem Pod auf jedem Knoten: was RBAC erlaubt und nicht mehr"}},
};

constexpr Text kServiceDefaults[] = {
    {"The API server's certificate carries the Service's address and kubernetes.default.svc.",
     "Das Zertifikat des API-Servers nennt die Adresse des Service und kubernetes.default.svc."},
    {"The service proxy rewrites addresses in the kernel (nftables); it never ends TLS.",
     "Der Service-Proxy schreibt Adressen im Kernel um (nftables); TLS endet nicht bei ihm."},
};
constexpr Flag kServiceFlags[] = {
    {"redoubt server",
     "--service-cluster-ip-range",
     {"its first address is the kubernetes Service's", "die erste Adresse daraus ist die des Service kubernetes"}},
    {"redoubt server", "--advertise-address", {"where the Service leads", "wohin der Service führt"}},
};
constexpr Test kServiceTests[] = {
    {"tests/e2e/test_pod_identity.py",
     "test_service_account_token_and_ca",
     {"a pod reaches the API server by the Service's address, verified",
      "ein Pod erreicht den API-Server geprüft über die Adresse des Service"}},
    {"tests/unit/kubeproxy/rules_test.cc",
     "TakesEveryKindOfServiceAndEveryWayFromOneToAnother",
     {"the kernel takes the rules", "der Kernel nimmt die Regeln an"}},
    {"tests/testbed/test_cluster_traffic.py",
     "test_services_and_names_go_on_while_the_api_server_is_away",
     {"Services go on without the API server, and lead to it again once it is back",
      "Services laufen ohne den API-Server weiter und führen wieder zu ihm, sobald er zurück ist"}},
};

constexpr Text kComponentDefaults[] = {
    {"Scheduler, controllers and service proxy use the secure port like everybody; there is no other.",
     "Scheduler, Controller und Service-Proxy benutzen den sicheren Port wie alle; es gibt keinen anderen."},
    {"Each has a certificate of its own and upstream's role for it.",
     "Jeder hat ein eigenes Zertifikat und die Rolle, die Upstream dafür vorsieht."},
};
constexpr Test kComponentTests[] = {
    {"tests/unit/apiserver/auth/default_identities_test.cc",
     "MayWhatUpstreamLetsThemButWhereADifferenceIsGivenWithItsReason",
     {"each identity may what upstream's may", "jede Identität darf, was sie bei Upstream darf"}},
    {"tests/unit/apiserver/auth/authorizer_test.cc",
     "DefaultsAreUpstreamsAndTight",
     {"no default role is wider than upstream's", "keine Vorgaberolle ist weiter als die von Upstream"}},
    {"tests/e2e/test_certificates.py",
     "test_every_authority_and_the_token_key_are_rotated_under_load",
     {"components follow a change of authority while running",
      "Komponenten folgen einem Wechsel der Stelle im Betrieb"}},
};

constexpr PathFacts kPaths[] = {
    {"client-apiserver",
     Direction::ToControlPlane,
     {"people and tools", "Menschen und Werkzeuge"},
     {"API server, HTTPS 6443", "API-Server, HTTPS 6443"},
     {"TLS 1.2+, verified", "TLS 1.2+, geprüft"},
     {"kubectl, helm, operators outside of the cluster", "kubectl, helm, Operatoren außerhalb des Clusters"},
     {"One HTTPS port for HTTP/1.1 and HTTP/2. The client verifies the server by the cluster's authority in its "
      "kubeconfig. The client proves "
      "itself by a client certificate, a ServiceAccount token, a bootstrap token, a static token file, OIDC, a "
      "webhook, or through an "
      "authenticating proxy; what it may do is decided by the Node authorizer and RBAC. A wrong credential is a 401, "
      "never anonymous; the reason "
      "is in the server's log only.",
      "Ein HTTPS-Port für HTTP/1.1 und HTTP/2. Der Client prüft den Server an der Zertifizierungsstelle in seiner "
      "kubeconfig. Der Client weist sich aus durch "
      "Client-Zertifikat, ServiceAccount-Token, Bootstrap-Token, statische Token-Datei, OIDC, Webhook oder über einen "
      "authentifizierenden Proxy; was er darf, "
      "entscheiden Node-Autorisierung und RBAC. Falsche Anmeldedaten ergeben 401, nie eine anonyme Anfrage; der Grund "
      "steht nur im Protokoll des Servers."},
     {"Secure by default as to transport. Anonymous requests are let through to authorization, whose default mode is "
      "AlwaysAllow when kube-apiserver is started by hand.",
      "Der Transport ist in der Vorgabe sicher. Anonyme Anfragen gelangen bis zur Autorisierung, deren Vorgabe bei "
      "einem von Hand gestarteten kube-apiserver AlwaysAllow ist."},
     {"Set --authorization-mode=Node,RBAC, keep system:anonymous and system:unauthenticated out of role bindings, and "
      "set --anonymous-auth=false or limit it to health paths by an AuthenticationConfiguration.",
      "Setzen Sie --authorization-mode=Node,RBAC, halten Sie system:anonymous und system:unauthenticated aus "
      "Rollenbindungen heraus und setzen Sie --anonymous-auth=false, oder beschränken Sie es durch eine "
      "AuthenticationConfiguration auf Zustandspfade."},
     {"TLS 1.2+; client certificate, bearer token, OIDC, webhook, front proxy; RBAC by default; anonymous reaches only "
      "/livez, /readyz, /healthz and the signed cluster-info",
      "TLS 1.2+; Client-Zertifikat, Token, OIDC, Webhook, vorgeschalteter Proxy; RBAC als Vorgabe; anonym sind nur "
      "/livez, /readyz, /healthz und die signierte cluster-info erreichbar"},
     kClientDefaults,
     kClientFlags,
     kClientTests},
    {"kubelet-apiserver",
     Direction::ToControlPlane,
     {"node's agent", "Agent des Knotens"},
     {"API server", "API-Server"},
     {"TLS, node certificate", "TLS, Knotenzertifikat"},
     {"the node's own Node, Lease, pods and what they use; its status",
      "der eigene Node, Lease, Pods und was sie benutzen; der Status"},
     {"Before it sends anything, a joining node checks the server's authority against the hash that it was given. It "
      "asks for a client certificate with a "
      "bootstrap token and is system:node:NAME from then on: the Node authorizer lets it read the Secrets, ConfigMaps "
      "and volumes of pods bound to "
      "it, and NodeRestriction lets it write its own Node, Lease and pods' status and nothing else. See "
      "[joining.md](joining.md).",
      "Bevor ein beitretender Knoten etwas sendet, prüft er die Zertifizierungsstelle des Servers gegen den Hash, den "
      "man ihm gab. Er beantragt mit einem "
      "Bootstrap-Token ein Client-Zertifikat und ist fortan system:node:NAME: Die Node-Autorisierung lässt ihn "
      "Secrets, ConfigMaps und Volumes der an ihn gebundenen Pods "
      "lesen, NodeRestriction nur den eigenen Node, die eigene Lease und den Status eigener Pods schreiben. Siehe "
      "[joining.md](joining.md)."},
     {"Secure where TLS bootstrapping, the Node authorizer and NodeRestriction are set up, as kubeadm does; "
      "kube-apiserver by itself turns none of them on.",
      "Sicher, wo TLS-Bootstrapping, Node-Autorisierung und NodeRestriction eingerichtet sind, wie es kubeadm tut; "
      "kube-apiserver allein schaltet nichts davon ein."},
     {"Use TLS bootstrapping with rotation, --authorization-mode=Node,RBAC and "
      "--enable-admission-plugins=NodeRestriction; bind nothing to the group system:nodes.",
      "Verwenden Sie TLS-Bootstrapping mit Rotation, --authorization-mode=Node,RBAC und "
      "--enable-admission-plugins=NodeRestriction; binden Sie nichts an die Gruppe system:nodes."},
     {"root CA pinned at join; client certificate from TLS bootstrap, rotated; Node authorizer and NodeRestriction",
      "Stammzertifikat beim Beitritt festgelegt; Client-Zertifikat aus dem TLS-Bootstrapping, rotiert; "
      "Node-Autorisierung und NodeRestriction"},
     kKubeletDefaults,
     kKubeletFlags,
     kKubeletTests},
    {"pod-apiserver",
     Direction::ToControlPlane,
     {"pod", "Pod"},
     {"API server", "API-Server"},
     {"TLS, bound token", "TLS, gebundenes Token"},
     {"what runs in pods and uses the API", "was in Pods läuft und die API benutzt"},
     {"Every pod gets the cluster's CA bundle, its namespace, and a token that is bound to the pod and the node and "
      "refreshed by an atomic swap; "
      "`automountServiceAccountToken: false` is honoured. The token is worth nothing once the pod is gone.",
      "Jeder Pod erhält das CA-Bündel des Clusters, seinen Namespace und ein Token, das an Pod und Knoten gebunden ist "
      "und durch einen atomaren Tausch erneuert wird; "
      "`automountServiceAccountToken: false` wird beachtet. Ist der Pod fort, ist das Token nichts mehr wert."},
     {"Bound tokens since 1.22, but good for a year for old clients; token Secrets that live for ever can be made and "
      "are never ended.",
      "Gebundene Token seit 1.22, für alte Clients aber ein Jahr gültig; Token-Secrets, die ewig gelten, können "
      "angelegt werden und enden nie."},
     {"Delete Secrets of type kubernetes.io/service-account-token, use projected tokens, and set "
      "--service-account-extend-token-expiration=false.",
      "Löschen Sie Secrets vom Typ kubernetes.io/service-account-token, verwenden Sie projizierte Token und setzen Sie "
      "--service-account-extend-token-expiration=false."},
     {"ServiceAccount: CA bundle, namespace and a short-lived, audience- and pod-bound token, projected into the pod "
      "and rotated",
      "ServiceAccount: CA-Bündel, Namespace und ein kurzlebiges, an Empfänger und Pod gebundenes Token, in den Pod "
      "projiziert und rotiert"},
     kPodDefaults,
     kPodFlags,
     kPodTests},
    {"service-apiserver",
     Direction::ToControlPlane,
     {"pod", "Pod"},
     {"API server, by the kubernetes Service", "API-Server, über den Service kubernetes"},
     {"TLS end to end", "TLS von Ende zu Ende"},
     {"the same as pod-apiserver, by a virtual address", "wie pod-apiserver, über eine virtuelle Adresse"},
     {"The first address of the Service network leads to the API server by the node's service proxy (nftables). TLS is "
      "end to end: the server's "
      "certificate carries that address and `kubernetes.default.svc`.",
      "Die erste Adresse des Service-Netzes führt durch den Service-Proxy des Knotens (nftables) zum API-Server. TLS "
      "reicht von Ende zu Ende: Das Zertifikat des "
      "Servers nennt diese Adresse und `kubernetes.default.svc`."},
     {"Secure by default.", "In der Vorgabe sicher."},
     {"Let the API server's certificate carry the Service's address and kubernetes.default.svc.",
      "Sorgen Sie dafür, dass das Zertifikat des API-Servers die Adresse des Service und kubernetes.default.svc "
      "nennt."},
     {"the service proxy (nftables) rewrites to the API server's endpoints; TLS is end to end",
      "der Service-Proxy (nftables) lenkt zu den Endpunkten des API-Servers um; TLS reicht von Ende zu Ende"},
     kServiceDefaults,
     kServiceFlags,
     kServiceTests},
    {"component-apiserver",
     Direction::ToControlPlane,
     {"scheduler, controllers, service proxy", "Scheduler, Controller, Service-Proxy"},
     {"API server", "API-Server"},
     {"TLS, own certificate", "TLS, eigenes Zertifikat"},
     {"what the control plane itself reads and writes", "was die Control Plane selbst liest und schreibt"},
     {"The same port as everybody's. Each component has a certificate of its own and upstream's least role for it; "
      "none is system:masters.",
      "Derselbe Port wie für alle. Jede Komponente hat ein eigenes Zertifikat und die kleinste Rolle, die Upstream "
      "dafür kennt; keine ist system:masters."},
     {"Secure by default.", "In der Vorgabe sicher."},
     {"Give each component its own identity and bind none of them to cluster-admin.",
      "Geben Sie jeder Komponente eine eigene Identität und binden Sie keine an cluster-admin."},
     {"the same secure port, each with its own certificate and its own least RBAC role",
      "derselbe sichere Port, jede mit eigenem Zertifikat und eigener kleinster RBAC-Rolle"},
     kComponentDefaults,
     {},
     kComponentTests},
};

}  // namespace

std::span<const PathFacts> paths_to_control_plane() {
  return kPaths;
}

}  // namespace redoubt::paths
