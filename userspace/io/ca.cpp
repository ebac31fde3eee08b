// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/ca.hpp"

#include "format/control_types.hpp"

#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rc::io {
namespace {

template <auto free> struct Freer {
  template <typename T> void operator()(T* pointer) const { free(pointer); }
};
template <typename T, auto free> using Owned = std::unique_ptr<T, Freer<free>>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Owned<X509, X509_free>;
using Bio = Owned<BIO, BIO_free_all>;

constexpr const char* ca_common_name = "remotecopy CA";
constexpr int backdate_seconds = 24 * 3600; // nodes' clocks may be behind ours when a certificate is new
constexpr int file_bytes_max = 64 * 1024;

Error ssl_error(const std::string& what) {
  char text[256] = "unknown error";
  if (const unsigned long code = ERR_get_error())
    ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return {ErrorCode::Failed, what + ": " + text, ""};
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Status sync_directory(const std::string& dir) {
  const int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno_error("cannot open " + dir);
  const bool good = fsync(fd) == 0;
  const int number = errno;
  close(fd);
  return good ? Status{} : Status{errno_error("cannot sync " + dir, number)};
}

// A new file, whole or not at all; never over one that is there (link(2) refuses).
Status write_new(const std::string& dir, const std::string& path, const std::string& text, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC); // mode 0600
  if (fd < 0)
    return errno_error("cannot write in " + dir);
  bool good = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
              fchmod(fd, mode) == 0 && fsync(fd) == 0;
  int number = errno;
  close(fd);
  if (good && link(temporary.c_str(), path.c_str()) != 0) {
    good = false;
    number = errno;
  }
  unlink(temporary.c_str());
  if (!good)
    return errno_error("cannot write " + path, number);
  return sync_directory(dir);
}

Result<std::string> to_pem(X509* certificate) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1)
    return ssl_error("cannot write a certificate");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<std::string> to_pem(EVP_PKEY* key) {
  Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return ssl_error("cannot write a key");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<Bio> open_pem(const std::string& path) {
  struct stat there;
  if (stat(path.c_str(), &there) != 0)
    return errno_error("cannot read " + path);
  if (!S_ISREG(there.st_mode) || there.st_size > file_bytes_max)
    return Error{ErrorCode::Corrupt, path + " is no PEM file", ""};
  Bio bio(BIO_new_file(path.c_str(), "re"));
  if (!bio)
    return ssl_error("cannot read " + path);
  return bio;
}

Result<Certificate> read_certificate(const std::string& path) {
  Result<Bio> bio = open_pem(path);
  if (!bio)
    return bio.error();
  Certificate certificate(PEM_read_bio_X509(bio->get(), nullptr, nullptr, nullptr));
  if (!certificate)
    return ssl_error(path + " holds no certificate");
  return certificate;
}

Result<Key> read_key(const std::string& path) {
  Result<Bio> bio = open_pem(path);
  if (!bio)
    return bio.error();
  // No pass phrase is ever asked for: a key that has one can't be used by a service.
  Key key(PEM_read_bio_PrivateKey(
      bio->get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  if (!key)
    return ssl_error(path + " holds no usable key");
  return key;
}

std::string expiry(const X509* certificate) {
  std::tm time{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1)
    return "";
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &time);
  return text;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_random_serial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1)
    return false;
  bytes[0] = (bytes[0] & 0x3f) | 0x40; // positive, never short
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// issuer null: self-signed.
Result<Certificate> make_certificate(const std::string& common_name, EVP_PKEY* key, int days, X509* issuer,
                                     EVP_PKEY* issuer_key) {
  Certificate made(X509_new());
  X509* certificate = made.get();
  const bool node = issuer != nullptr;
  X509_NAME* name = certificate ? X509_get_subject_name(certificate) : nullptr;
  bool good =
      certificate && X509_set_version(certificate, 2) == 1 && set_random_serial(certificate) &&
      X509_gmtime_adj(X509_getm_notBefore(certificate), -backdate_seconds) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(days) * 24 * 3600) != nullptr &&
      X509_set_pubkey(certificate, key) == 1 &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                                 0) == 1 &&
      X509_set_issuer_name(certificate, node ? X509_get_subject_name(issuer) : name) == 1;
  X509* signer = node ? issuer : certificate;
  good = good && add_extension(certificate, signer, NID_subject_key_identifier, "hash");
  good = good && add_extension(certificate, signer, NID_authority_key_identifier, "keyid:always");
  if (node)
    good = good && add_extension(certificate, signer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, signer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, signer, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(certificate, signer, NID_subject_alt_name, "DNS:" + common_name);
  else
    good = good && add_extension(certificate, signer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(certificate, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
  if (!good || X509_sign(certificate, node ? issuer_key : key, EVP_sha256()) == 0)
    return ssl_error("cannot make the certificate of " + common_name);
  return made;
}

Status make_directory(const std::string& dir) {
  if (Status status = control::check_path("the CA's directory", dir); !status)
    return status;
  for (std::size_t slash = dir.find('/', 1);; slash = dir.find('/', slash + 1)) {
    const bool last = slash == std::string::npos;
    if (mkdir(dir.substr(0, slash).c_str(), last ? 0700 : 0755) != 0 && errno != EEXIST)
      return errno_error("cannot make " + dir.substr(0, slash));
    if (last)
      return {};
  }
}

struct Authority {
  Certificate certificate;
  Key key;
};

Result<Authority> read_authority(const std::string& dir) {
  const std::string certificate_path = dir + "/ca.crt", key_path = dir + "/ca.key";
  Result<Certificate> certificate = read_certificate(certificate_path);
  if (!certificate)
    return certificate.error();
  Result<Key> key = read_key(key_path);
  if (!key)
    return key.error();
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    ERR_clear_error();
    return Error{ErrorCode::Refused, certificate_path + " and " + key_path + " don't belong together",
                 "restore both from one backup, or use another directory (--dir)"};
  }
  return Authority{std::move(*certificate), std::move(*key)};
}

// Writes key and certificate; the certificate last: with it the pair is whole. A key left over by a crash
// between the two belongs to nobody and is used again.
Result<CaFiles> create_pair(const std::string& dir, const std::string& name, const std::string& common_name,
                            int days, const Authority* authority) {
  CaFiles files{true, dir + "/" + name + ".crt", dir + "/" + name + ".key", ""};
  Key key;
  if (exists(files.key)) {
    Result<Key> left = read_key(files.key);
    if (!left)
      return left.error();
    key = std::move(*left);
  } else {
    key.reset(EVP_EC_gen("P-256"));
    if (!key)
      return ssl_error("cannot make a key");
    Result<std::string> pem = to_pem(key.get());
    if (!pem)
      return pem.error();
    if (Status status = write_new(dir, files.key, *pem, 0600); !status)
      return status.error();
  }
  Result<Certificate> certificate =
      make_certificate(common_name, key.get(), days, authority ? authority->certificate.get() : nullptr,
                       authority ? authority->key.get() : nullptr);
  if (!certificate)
    return certificate.error();
  Result<std::string> pem = to_pem(certificate->get());
  if (!pem)
    return pem.error();
  if (Status status = write_new(dir, files.certificate, *pem, 0644); !status)
    return status.error();
  files.expires = expiry(certificate->get());
  return files;
}

} // namespace

Result<CaFiles> init_ca(const std::string& dir) {
  if (Status status = make_directory(dir); !status)
    return status.error();
  const std::string certificate = dir + "/ca.crt", key = dir + "/ca.key";
  if (!exists(certificate))
    return create_pair(dir, "ca", ca_common_name, ca_days, nullptr);
  if (!exists(key))
    return Error{ErrorCode::Refused, certificate + " is there but its key " + key + " is not",
                 "restore the key from a backup, or use another directory (--dir)"};
  Result<Authority> authority = read_authority(dir);
  if (!authority)
    return authority.error();
  return CaFiles{false, certificate, key, expiry(authority->certificate.get())};
}

Result<CaFiles> issue_certificate(const std::string& node, const std::string& dir) {
  if (Status status = control::check_name("node", node); !status)
    return status.error();
  if (node == "ca")
    return Error{ErrorCode::Usage, "a node can't be called \"ca\"", "choose another name"};
  if (Status status = control::check_path("the CA's directory", dir); !status)
    return status.error();
  if (!exists(dir + "/ca.crt"))
    return Error{ErrorCode::NotFound, "there is no certificate authority in " + dir,
                 "make one with 'rcctl ca init --dir " + dir + "'"};
  Result<Authority> authority = read_authority(dir);
  if (!authority)
    return authority.error();
  const std::string path = dir + "/" + node + ".crt", key_path = dir + "/" + node + ".key";
  if (!exists(path))
    return create_pair(dir, node, node, node_days, &*authority);

  Result<Certificate> there = read_certificate(path);
  if (!there)
    return there.error();
  Result<Key> key = read_key(key_path);
  if (!key)
    return key.error().then("restore " + key_path + ", or move both files away and issue again");
  const bool ours = X509_verify(there->get(), X509_get0_pubkey(authority->certificate.get())) == 1 &&
                    X509_check_private_key(there->get(), key->get()) == 1;
  ERR_clear_error();
  if (!ours)
    return Error{ErrorCode::Refused, path + " is not of this authority or does not fit its key",
                 "move " + path + " and " + key_path + " away and issue again"};
  return CaFiles{false, path, key_path, expiry(there->get())};
}

} // namespace rc::io
