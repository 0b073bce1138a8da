"""Certificate authorities of a test's own, and a cluster's, for certificates that the program itself would never make."""
import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM


class Authority:
    """Made anew; or, with `pki`, the cluster's authority of that name."""

    def __init__(self, folder, name, pki=None, serial=None):
        self.folder = folder
        if pki:
            self.pem = (pki / f"{name}.crt").read_text()
            self.key = serialization.load_pem_private_key((pki / f"{name}.key").read_bytes(), None)
            self.name = x509.load_pem_x509_certificate(self.pem.encode()).subject
            return
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._sign(self.name, self.key, [x509.BasicConstraints(ca=True, path_length=None)], serial=serial).public_bytes(PEM).decode()
        self.file = folder / f"{name}.crt"
        self.file.write_text(self.pem)

    def _sign(self, subject, key, extensions, starts=-60, ends=3600, serial=None):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
                   .serial_number(serial or x509.random_serial_number()).not_valid_before(now + datetime.timedelta(seconds=starts))
                   .not_valid_after(now + datetime.timedelta(seconds=ends)))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def leaf(self, name, groups=(), addresses=(), server=None, **times):
        """A file with certificate and key; a server's where it has addresses, unless `server` says otherwise."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([*(x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in groups), x509.NameAttribute(NameOID.COMMON_NAME, name)])
        serves = bool(addresses) if server is None else server
        extensions = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH])]
        if addresses:
            extensions.append(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]))
        path = self.folder / f"{name.replace(':', '-')}-{x509.random_serial_number()}.pem"
        path.write_bytes(self._sign(subject, key, extensions, **times).public_bytes(PEM) + key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return str(path)
