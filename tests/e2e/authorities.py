"""Certificate authorities of a test's own, and a cluster's, for certificates that the program itself would never make."""
import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM


def put(path, text):
    """A file replaced as a whole, as tools that renew certificates do it; for its owner alone."""
    path = Path(path)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(path)
    return path


def key_text(key):
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


class Authority:
    """Made anew (by another one, with `parent`); or, with `pki`, the cluster's authority of that name."""

    def __init__(self, folder, name, pki=None, serial=None, parent=None, key=None, **times):
        self.folder = folder
        if pki:
            self.pem = (pki / f"{name}.crt").read_text()
            self.key = serialization.load_pem_private_key((pki / f"{name}.key").read_bytes(), None)
            self.name = x509.load_pem_x509_certificate(self.pem.encode()).subject
            return
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        extensions = [x509.BasicConstraints(ca=True, path_length=None), x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())]
        self.pem = (parent or self)._sign(self.name, self.key, extensions, serial=serial, **times).public_bytes(PEM).decode()
        self.file = folder / f"{name}.crt"
        self.file.write_text(self.pem)
        self.key_file = put(folder / f"{name}.key", key_text(self.key))

    def has_signed(self, certificate_pem):
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        try:
            self.key.public_key().verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return certificate.issuer == self.name

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
        return str(put(path, self._sign(subject, key, extensions, **times).public_bytes(PEM).decode() + key_text(key)))
