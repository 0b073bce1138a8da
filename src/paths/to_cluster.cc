// From the control plane to nodes, pods, Services, webhooks and the store.
#include "paths/catalogue.h"

namespace redoubt::paths {

namespace {

constexpr Text kKubeletDefaults[] = {
    {"The kubelet's serving certificate is always verified: signed by the kubelet authority, in the name of the very "
     "node that is meant.",
     "Das Serverzertifikat des Kubelets wird immer geprüft: von der Kubelet-Stelle signiert, auf den Namen genau des "
     "gemeinten Knotens."},
    {"The kubelet listens on 127.0.0.1 where it has a tunnel; it has no read-only port.",
     "Der Kubelet lauscht auf 127.0.0.1, wo er einen Tunnel hat; einen Nur-Lese-Port hat er nicht."},
    {"No anonymous requests at the kubelet; it asks the API server about each request.",
     "Keine anonymen Anfragen beim Kubelet; er fragt den API-Server zu jeder Anfrage."},
};
constexpr Flag kKubeletFlags[] = {
    {"redoubt server",
     "--kubelet-certificate-authority",
     {"a bundle instead of the cluster's own kubelet authority", "ein Bündel statt der eigenen Kubelet-Stelle"}},
    {"redoubt server",
     "--kubelet-client-certificate",
     {"what the API server shows to kubelets, with --kubelet-client-key",
      "was der API-Server Kubelets zeigt, mit --kubelet-client-key"}},
    {"redoubt server",
     "--kubelet-preferred-address-types",
     {"which of a node's addresses is dialled", "welche Adresse eines Knotens gewählt wird"}},
    {"redoubt server",
     "--kubelet-timeout",
     {"until a connection stands, verified", "bis eine geprüfte Verbindung steht"}},
    {"redoubt agent", "--kubelet-address", {"where the kubelet listens", "wo der Kubelet lauscht"}},
};
constexpr Test kKubeletTests[] = {
    {"tests/e2e/test_impostor_kubelet.py",
     "test_impostors",
     {"impostors at a node's address are refused by a running server",
      "wer unter der Adresse eines Knotens antwortet, ohne er zu sein, wird abgewiesen"}},
    {"tests/e2e/test_paths.py",
     "test_a_whole_cluster_is_secure_under_probes",
     {"probes of a running node", "Proben an einem laufenden Knoten"}},

    {"tests/unit/apiserver/proxy/pod_connect_test.cc",
     "RefusesAKubeletOfAnotherAuthority",
     {"a self-signed kubelet, or one of another authority, is refused",
      "ein selbstsignierter Kubelet oder einer anderen Stelle wird abgewiesen"}},
    {"tests/unit/apiserver/proxy/pod_connect_test.cc",
     "RefusesAKubeletWithAnotherNodesName",
     {"another node's certificate is refused", "das Zertifikat eines anderen Knotens wird abgewiesen"}},
    {"tests/e2e/test_kubelet_path.py",
     "test_kubelet_certificate_names_the_node_and_comes_from_its_own_authority",
     {"the running kubelet's certificate is the right one", "der laufende Kubelet hat das richtige Zertifikat"}},
    {"tests/e2e/test_kubelet_path.py",
     "test_kubelet_refuses_whom_it_does_not_know",
     {"without a credential, or with a wrong one, the kubelet answers 401",
      "ohne oder mit falschen Anmeldedaten antwortet der Kubelet 401"}},
    {"tests/e2e/test_kubelet_path.py",
     "test_node_certificate_reaches_only_its_own",
     {"a node's certificate opens nothing of another", "das Zertifikat eines Knotens öffnet nichts eines anderen"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_the_attackers_capture_holds_no_plaintext",
     {"logs and commands are not in the capture", "Protokolle und Befehle stehen nicht im Mitschnitt"}},
    {"tests/testbed/test_kubelet_path.py",
     "test_an_impostor_in_the_nodes_place_is_refused",
     {"an impostor in the node's place, on the wire, is refused",
      "ein Betrüger an der Stelle des Knotens, auf der Leitung, wird abgewiesen"}},
    {"tests/testbed/test_kubelet_path.py",
     "test_the_wire_shows_nothing_of_logs_exec_and_port_forwards",
     {"nor without a tunnel", "auch nicht ohne Tunnel"}},
};

constexpr Text kProxyDefaults[] = {
    {"What is not encrypted goes by the node's tunnel or stays on this machine; else it is refused with a 403.",
     "Was nicht verschlüsselt ist, geht durch den Tunnel des Knotens oder bleibt auf dieser Maschine; sonst wird es "
     "mit 403 abgelehnt."},
    {"https to a backend that names no authority is carried and reported.",
     "https zu einem Ziel, das keine Zertifizierungsstelle nennt, wird weitergeleitet und gemeldet."},
    {"Loopback, link-local, multicast and metadata addresses are never dialled.",
     "Loopback-, Link-local-, Multicast- und Metadaten-Adressen werden nie angesprochen."},
};
constexpr Flag kProxyFlags[] = {
    {"redoubt server", "--proxy-plaintext", {"refuse (default) or allow", "refuse (Vorgabe) oder allow"}},
    {"redoubt server", "--proxy-unverified-tls", {"report (default) or refuse", "report (Vorgabe) oder refuse"}},
    {"redoubt server",
     "--nodes-without-tunnel",
     {"direct (default: verified TLS only) or refuse", "direct (Vorgabe: nur geprüftes TLS) oder refuse"}},
    {"redoubt server",
     "--egress-selector-config-file",
     {"which way each network is reached", "auf welchem Weg jedes Netz erreicht wird"}},
};
constexpr Test kNodeTests[] = {
    {"tests/e2e/test_proxy.py",
     "test_node_proxy_reaches_the_kubelet",
     {"the kubelet answers, verified", "der Kubelet antwortet, geprüft"}},
    {"tests/e2e/test_proxy.py",
     "test_reading_through_a_node_proxy_opens_no_shell",
     {"who may read through the proxy may not run commands",
      "wer durch den Proxy lesen darf, führt keine Befehle aus"}},
    {"tests/unit/apiserver/proxy/api_proxy_test.cc",
     "RefusesAnImpostorOfTheKubelet",
     {"an impostor of the kubelet gets nothing", "wer sich als Kubelet ausgibt, erhält nichts"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_a_node_behind_nat_serves_every_path",
     {"a node behind NAT is reached through its tunnel", "ein Knoten hinter NAT wird durch seinen Tunnel erreicht"}},
};
constexpr Test kPodTests[] = {
    {"tests/unit/apiserver/proxy/api_proxy_test.cc",
     "SendsNothingInTheClearUnlessToldSo",
     {"plain text is refused where there is no tunnel", "Klartext wird abgelehnt, wo kein Tunnel ist"}},
    {"tests/unit/apiserver/proxy/api_proxy_test.cc",
     "VerifiesBackendsThatNameAnAuthority",
     {"a named authority is checked", "eine genannte Stelle wird geprüft"}},
    {"tests/unit/apiserver/proxy/api_proxy_test.cc",
     "RefusesUnverifiedTlsWhereThePolicySaysSo",
     {"the policy refuses the rest", "die Richtlinie lehnt den Rest ab"}},
    {"tests/unit/apiserver/proxy/api_proxy_test.cc",
     "ForwardsNoCredentialOfTheClient",
     {"no credential reaches the backend", "keine Anmeldedaten erreichen das Ziel"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_the_attackers_capture_holds_no_plaintext",
     {"the payload is not in the capture", "die Nutzlast steht nicht im Mitschnitt"}},
};
constexpr Test kServiceTests[] = {
    {"tests/e2e/test_proxy.py",
     "test_service_proxy_by_number_and_name",
     {"Services are reached by number and name", "Services werden über Nummer und Namen erreicht"}},
    {"tests/unit/apiserver/proxy/api_proxy_test.cc",
     "TriesTheNextEndpointWhenOneRefuses",
     {"the next endpoint, by its own node", "der nächste Endpunkt, über seinen eigenen Knoten"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_a_node_behind_nat_serves_every_path",
     {"through the tunnel of the endpoint's node", "durch den Tunnel des Knotens des Endpunkts"}},
};

constexpr Text kWebhookDefaults[] = {
    {"HTTPS only, verified by the caBundle or the authority of the kubeconfig.",
     "Nur HTTPS, geprüft am caBundle oder an der Stelle der kubeconfig."},
    {"insecure-skip-tls-verify in a webhook's kubeconfig is refused, and so is an APIService's insecureSkipTLSVerify.",
     "insecure-skip-tls-verify in der kubeconfig eines Webhooks wird abgelehnt, ebenso insecureSkipTLSVerify eines "
     "APIService."},
};
constexpr Flag kWebhookFlags[] = {
    {"redoubt server",
     "--authentication-token-webhook-config-file",
     {"a kubeconfig that names the webhook and its authority", "eine kubeconfig, die Webhook und Stelle nennt"}},
    {"redoubt server", "--authorization-webhook-config-file", {"likewise", "ebenso"}},
};
constexpr Test kWebhookTests[] = {
    {"tests/e2e/test_webhooks.py",
     "test_a_webhook_with_another_certificate_is_not_asked",
     {"the same against a running server", "dasselbe an einem laufenden Server"}},
    {"tests/e2e/test_webhooks.py",
     "test_a_webhook_behind_a_service",
     {"a webhook in the cluster is reached by its Service's name",
      "ein Webhook im Cluster wird über den Namen seines Service erreicht"}},
    {"tests/e2e/test_aggregation.py",
     "test_an_extension_server_that_is_not_verified_is_not_called",
     {"an aggregated API server of another authority is not asked",
      "ein aggregierter API-Server einer anderen Stelle wird nicht gefragt"}},
    {"tests/e2e/test_aggregation.py",
     "test_an_extension_server_learns_who_asks_and_gets_no_credential",
     {"no credential reaches an aggregated API server", "keine Anmeldedaten erreichen einen aggregierten API-Server"}},
    {"tests/unit/apiserver/webhook/admission_webhooks_test.cc",
     "AreAskedOfNobodyWithAnotherCertificate",
     {"a webhook of another authority is asked nothing", "ein Webhook einer anderen Stelle wird nichts gefragt"}},
    {"tests/unit/apiserver/webhook/answer_test.cc",
     "IsBelievedOnlyForTheRequestThatWasAsked",
     {"an answer counts for its own request only", "eine Antwort zählt nur für ihre eigene Anfrage"}},
    {"tests/unit/apiserver/auth/oidc_test.cc",
     "BelievesNoOtherServer",
     {"an issuer of another authority is not believed", "einem Aussteller einer anderen Stelle wird nicht geglaubt"}},
    {"tests/testbed/test_reverse_tunnel.py",
     "test_webhooks_in_the_cluster_are_asked",
     {"a webhook on a node behind NAT is asked through its tunnel",
      "ein Webhook auf einem Knoten hinter NAT wird durch dessen Tunnel gefragt"}},
};

constexpr Text kStoreDefaults[] = {
    {"The store is a file in the server's data folder (0700); Secrets in it are encrypted.",
     "Der Speicher ist eine Datei im Datenverzeichnis des Servers (0700); Secrets darin sind verschlüsselt."},
};
constexpr Flag kStoreFlags[] = {
    {"redoubt server",
     "--encryption-provider-config",
     {"other keys than the installation's own", "andere Schlüssel als der eigene der Installation"}},
};
constexpr Test kStoreTests[] = {
    {"tests/e2e/test_encryption.py",
     "test_by_default_no_secret_is_in_the_clear_on_disk",
     {"no Secret is in the clear on disk", "kein Secret liegt im Klartext auf der Platte"}},
};

constexpr PathFacts kPaths[] = {
    {"apiserver-kubelet",
     Direction::ToCluster,
     {"API server", "API-Server"},
     {"kubelet, HTTPS 10250", "Kubelet, HTTPS 10250"},
     {"TLS, both verified", "TLS, beide geprüft"},
     {"logs, exec, attach, port-forward, statistics", "Protokolle, exec, attach, port-forward, Statistiken"},
     {"The kubelet's serving certificate is always verified: signed by the kubelet authority (or the one of "
      "`--kubelet-certificate-authority`), "
      "and in the name of the very node that is meant. There is no switch that skips this. The API server shows a "
      "client certificate that may "
      "use `nodes/*` and nothing else; the kubelet authenticates it (x509, or TokenReview for tokens) and authorizes "
      "every request by "
      "SubjectAccessReview.",
      "Das Serverzertifikat des Kubelets wird immer geprüft: von der Kubelet-Stelle (oder der aus "
      "`--kubelet-certificate-authority`) signiert und auf den Namen "
      "genau des gemeinten Knotens. Kein Schalter umgeht das. Der API-Server zeigt ein Client-Zertifikat, das "
      "`nodes/*` benutzen darf und sonst nichts; der Kubelet "
      "authentifiziert es (x509, bei Token durch TokenReview) und autorisiert jede Anfrage durch SubjectAccessReview."},
     {"The API server does not verify the kubelet's certificate unless --kubelet-certificate-authority is given, and "
      "kubelets sign their own: whoever can answer for a node's address gets every command and log.",
      "Der API-Server prüft das Zertifikat des Kubelets nur mit --kubelet-certificate-authority, und Kubelets "
      "signieren ihres selbst: Wer unter der Adresse eines Knotens antworten kann, erhält jeden Befehl und jedes "
      "Protokoll."},
     {"Set serverTLSBootstrap: true on kubelets, approve their serving certificates, give the API server "
      "--kubelet-certificate-authority; on kubelets anonymous.enabled: false, authorization.mode: Webhook, "
      "readOnlyPort: 0.",
      "Setzen Sie auf Kubelets serverTLSBootstrap: true, genehmigen Sie ihre Serverzertifikate, geben Sie dem "
      "API-Server --kubelet-certificate-authority; auf Kubelets anonymous.enabled: false, authorization.mode: Webhook, "
      "readOnlyPort: 0."},
     {"serving certificate always verified (an authority of its own, and the node's name); client certificate; the "
      "kubelet authenticates and authorizes",
      "Serverzertifikat immer geprüft (eigene Stelle und Name des Knotens); Client-Zertifikat; der Kubelet "
      "authentifiziert und autorisiert"},
     kKubeletDefaults,
     kKubeletFlags,
     kKubeletTests},
    {"apiserver-node",
     Direction::ToCluster,
     {"API server", "API-Server"},
     {"node, by nodes/{n}/proxy", "Knoten, über nodes/{n}/proxy"},
     {"verified TLS, or the node's tunnel", "geprüftes TLS oder der Tunnel des Knotens"},
     {"the kubelet's API and other ports of the node", "die API des Kubelets und andere Ports des Knotens"},
     {"The kubelet is verified as on apiserver-kubelet. Other ports of a node are reached only through the node's "
      "tunnel, so that plain HTTP never "
      "crosses the network. Upgrades need `create`, whatever their method. See [proxies.md](proxies.md).",
      "Der Kubelet wird wie bei apiserver-kubelet geprüft. Andere Ports eines Knotens sind nur durch seinen Tunnel "
      "erreichbar, sodass einfaches HTTP nie "
      "das Netz durchquert. Upgrades brauchen `create`, gleich mit welcher Methode. Siehe [proxies.md](proxies.md)."},
     {"Plain HTTP over the network; with https: encrypted, but not verified. `get` on nodes/proxy is enough to run "
      "commands in every pod of a node.",
      "Einfaches HTTP über das Netz; mit https: verschlüsselt, aber nicht geprüft. `get` auf nodes/proxy genügt, um in "
      "jedem Pod des Knotens Befehle auszuführen."},
     {"Set an EgressSelectorConfiguration with Konnectivity for `cluster`, and grant nodes/proxy to nobody who must "
      "not run commands; use nodes/metrics, nodes/stats, nodes/log.",
      "Richten Sie eine EgressSelectorConfiguration mit Konnectivity für `cluster` ein und geben Sie nodes/proxy "
      "niemandem, der keine Befehle ausführen darf; nehmen Sie nodes/metrics, nodes/stats, nodes/log."},
     {"the kubelet as on apiserver-kubelet; other node ports only through the node's tunnel",
      "der Kubelet wie bei apiserver-kubelet; andere Ports des Knotens nur durch seinen Tunnel"},
     kProxyDefaults,
     kProxyFlags,
     kNodeTests},
    {"apiserver-pod",
     Direction::ToCluster,
     {"API server", "API-Server"},
     {"pod, by pods/{p}/proxy", "Pod, über pods/{p}/proxy"},
     {"the node's tunnel", "der Tunnel des Knotens"},
     {"web pages and APIs of pods", "Webseiten und APIs von Pods"},
     {"Through the tunnel of the pod's node: plain HTTP never leaves the node. With `https:` the certificate is "
      "verified where the pod names an "
      "authority; where none is named, a policy decides. Every answer says how far its backend was known. See "
      "[proxies.md](proxies.md).",
      "Durch den Tunnel des Knotens, auf dem der Pod läuft: Einfaches HTTP verlässt den Knoten nie. Mit `https:` wird "
      "das Zertifikat geprüft, wo der Pod eine Stelle "
      "nennt; wo keine genannt ist, entscheidet eine Richtlinie. Jede Antwort sagt, wie weit ihr Ziel bekannt war. "
      "Siehe [proxies.md](proxies.md)."},
     {"Plain HTTP over the network; with https: encrypted, but neither verified nor authenticated.",
      "Einfaches HTTP über das Netz; mit https: verschlüsselt, aber weder geprüft noch authentifiziert."},
     {"Set an EgressSelectorConfiguration with Konnectivity for `cluster`, or grant pods/proxy to nobody and use "
      "port-forward.",
      "Richten Sie eine EgressSelectorConfiguration mit Konnectivity für `cluster` ein, oder geben Sie pods/proxy "
      "niemandem und nehmen Sie port-forward."},
     {"through the tunnel of the pod's node, so plain HTTP never leaves the node; with https: verified where an "
      "authority is named, else carried and reported, or refused",
      "durch den Tunnel des Knotens, sodass einfaches HTTP den Knoten nie verlässt; mit https: geprüft, wo eine Stelle "
      "genannt ist, sonst weitergeleitet und gemeldet oder abgelehnt"},
     kProxyDefaults,
     kProxyFlags,
     kPodTests},
    {"apiserver-service",
     Direction::ToCluster,
     {"API server", "API-Server"},
     {"Service, by services/{s}/proxy", "Service, über services/{s}/proxy"},
     {"the tunnel of the endpoint's node", "der Tunnel des Knotens des Endpunkts"},
     {"web pages and APIs of Services", "Webseiten und APIs von Services"},
     {"As for pods, by the node of the endpoint that is chosen. Endpoints without a pod behind them are not used. See "
      "[proxies.md](proxies.md).",
      "Wie bei Pods, über den Knoten des gewählten Endpunkts. Endpunkte ohne Pod dahinter werden nicht benutzt. Siehe "
      "[proxies.md](proxies.md)."},
     {"Plain HTTP over the network; with https: encrypted, but neither verified nor authenticated.",
      "Einfaches HTTP über das Netz; mit https: verschlüsselt, aber weder geprüft noch authentifiziert."},
     {"Set an EgressSelectorConfiguration with Konnectivity for `cluster`, or grant services/proxy to nobody and use "
      "port-forward.",
      "Richten Sie eine EgressSelectorConfiguration mit Konnectivity für `cluster` ein, oder geben Sie services/proxy "
      "niemandem und nehmen Sie port-forward."},
     {"as for pods, by the chosen endpoint's node", "wie bei Pods, über den Knoten des gewählten Endpunkts"},
     kProxyDefaults,
     kProxyFlags,
     kServiceTests},
    {"apiserver-webhook",
     Direction::ToCluster,
     {"API server", "API-Server"},
     {"webhooks, aggregated API servers", "Webhooks, aggregierte API-Server"},
     {"TLS, verified by caBundle", "TLS, geprüft am caBundle"},
     {"admission, conversion, authentication, authorization; aggregated APIs",
      "Zulassung, Konvertierung, Authentifizierung, Autorisierung; aggregierte APIs"},
     {"HTTPS, verified by the caBundle of the registration or the authority of the kubeconfig; plain HTTP and skipped "
      "verification are refused.",
      "HTTPS, geprüft am caBundle der Registrierung oder an der Stelle der kubeconfig; einfaches HTTP und "
      "übersprungene Prüfung werden abgelehnt."},
     {"HTTPS, verified by caBundle; an APIService may skip verification (insecureSkipTLSVerify), and a token webhook's "
      "kubeconfig too.",
      "HTTPS, geprüft am caBundle; ein APIService darf die Prüfung überspringen (insecureSkipTLSVerify), die "
      "kubeconfig eines Token-Webhooks ebenso."},
     {"Give every registration a caBundle and remove insecureSkipTLSVerify.",
      "Geben Sie jeder Registrierung ein caBundle und entfernen Sie insecureSkipTLSVerify."},
     {"HTTPS, verified by caBundle; in-cluster ones through the tunnel",
      "HTTPS, geprüft am caBundle; im Cluster durch den Tunnel"},
     kWebhookDefaults,
     kWebhookFlags,
     kWebhookTests},
    {"apiserver-store",
     Direction::ToCluster,
     {"API server", "API-Server"},
     {"store", "Speicher"},
     {"no socket", "kein Socket"},
     {"every object of the cluster", "jedes Objekt des Clusters"},
     {"The embedded store is a file: it has no socket. Secrets in it are encrypted with a key of the installation's "
      "own.",
      "Der eingebaute Speicher ist eine Datei: Er hat keinen Socket. Secrets darin sind mit einem eigenen Schlüssel "
      "der Installation verschlüsselt."},
     {"etcd takes plain HTTP unless certificates are set up; whoever reaches its port is administrator of the cluster.",
      "etcd nimmt einfaches HTTP, solange keine Zertifikate eingerichtet sind; wer seinen Port erreicht, ist "
      "Administrator des Clusters."},
     {"Use https in --etcd-servers with --etcd-cafile, --etcd-certfile and --etcd-keyfile, and start etcd with "
      "--client-cert-auth and a --trusted-ca-file of its own.",
      "Nehmen Sie https in --etcd-servers mit --etcd-cafile, --etcd-certfile und --etcd-keyfile und starten Sie etcd "
      "mit --client-cert-auth und einer eigenen --trusted-ca-file."},
     {"the embedded store has no socket; Secrets are encrypted at rest",
      "der eingebaute Speicher hat keinen Socket; Secrets sind im Ruhezustand verschlüsselt"},
     kStoreDefaults,
     kStoreFlags,
     kStoreTests},
};

}  // namespace

std::span<const PathFacts> paths_to_cluster() {
  return kPaths;
}

}  // namespace redoubt::paths
