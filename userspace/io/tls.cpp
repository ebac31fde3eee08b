// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/tls.hpp"

#include "io/tls_connection.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <vector>

namespace rc::io {
namespace {

constexpr std::size_t read_buffer_bytes = 64 << 10; // four records

struct ContextEnd {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

Error tls_error(const std::string& what, const std::string& next) {
  return Error{ErrorCode::Failed, what + ": " + openssl_reason(), next};
}

std::int64_t unix_time(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) ? static_cast<std::int64_t>(timegm(&parts)) : 0;
}

Result<std::string> name_in(X509* certificate) {
  std::string name;
  if (auto* names = static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
      const GENERAL_NAME* one = sk_GENERAL_NAME_value(names, i);
      if (one->type == GEN_DNS && name.empty())
        name.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(one->d.dNSName)),
                    static_cast<std::size_t>(ASN1_STRING_length(one->d.dNSName)));
    }
    GENERAL_NAMES_free(names);
  }
  if (name.empty()) {
    char text[256];
    const int length =
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof text);
    if (length > 0)
      name.assign(text, static_cast<std::size_t>(length));
  }
  // A NUL inside would let two programs read two different names.
  if (name.empty() || name.find('\0') != std::string::npos)
    return Error{ErrorCode::NotPermitted, "the certificate names no node",
                 "issue one with rcctl ca issue NODE"};
  return name;
}

class Context : public TlsContext {
public:
  Context(std::unique_ptr<SSL_CTX, ContextEnd> context, std::string name, std::int64_t valid_until)
      : context_(std::move(context)), name_(std::move(name)), valid_until_(valid_until) {}
  const std::string& own_name() const override { return name_; }
  std::int64_t valid_until_unix() const override { return valid_until_; }
  ssl_ctx_st* native() override { return context_.get(); }

private:
  std::unique_ptr<SSL_CTX, ContextEnd> context_;
  std::string name_;
  std::int64_t valid_until_;
};

} // namespace

std::string openssl_reason() {
  std::string text;
  for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
    char line[256];
    ERR_error_string_n(code, line, sizeof line);
    const char* reason = ERR_reason_error_string(code);
    text += (text.empty() ? "" : "; ") + std::string(reason ? reason : line);
  }
  return text.empty() ? "unknown reason" : text;
}

namespace {

// Seals pieces of one TLS record's size and remembers the fastest; a cipher that OpenSSL can't do takes for
// ever. Small pieces, because a piece counts only when nothing else had the CPU meanwhile.
class SealingTime {
public:
  explicit SealingTime(const EVP_CIPHER* cipher) : cipher_(cipher) {}

  void seal_one() {
    const unsigned char key[32] = {};
    const unsigned char nonce[12] = {};
    const auto began = std::chrono::steady_clock::now();
    int length = 0;
    if (context_ && EVP_EncryptInit_ex(context_.get(), cipher_, nullptr, key, nonce) &&
        EVP_EncryptUpdate(context_.get(), sealed_.data(), &length, plain_.data(),
                          static_cast<int>(plain_.size())))
      best_ = std::min(best_, std::chrono::nanoseconds(std::chrono::steady_clock::now() - began));
  }
  std::chrono::nanoseconds best() const { return best_; }

private:
  static constexpr std::size_t record_bytes = 16 << 10;
  const EVP_CIPHER* cipher_;
  std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> context_{EVP_CIPHER_CTX_new(),
                                                                      EVP_CIPHER_CTX_free};
  std::vector<unsigned char> plain_ = std::vector<unsigned char>(record_bytes);
  std::vector<unsigned char> sealed_ = std::vector<unsigned char>(record_bytes + EVP_MAX_BLOCK_LENGTH);
  std::chrono::nanoseconds best_ = std::chrono::nanoseconds::max();
};

bool measure_aes_is_faster() {
  SealingTime aes(EVP_aes_256_gcm());
  SealingTime chacha(EVP_chacha20_poly1305());
  for (int i = 0; i < 32; i++) {
    aes.seal_one();
    chacha.seal_one();
  }
  return aes.best() <= chacha.best();
}

} // namespace

bool aes_is_faster() {
  static const bool faster = measure_aes_is_faster();
  return faster;
}

void PeerNames::set(std::set<std::string> names) {
  const std::lock_guard lock(mutex_);
  names_ = std::move(names);
}

void PeerNames::allow_any(bool any) {
  const std::lock_guard lock(mutex_);
  any_ = any;
}

bool PeerNames::allows(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return any_ || names_.contains(name);
}

Result<std::shared_ptr<TlsContext>> TlsContext::load(const TlsFiles& files) {
  ERR_clear_error();
  std::unique_ptr<SSL_CTX, ContextEnd> context(SSL_CTX_new(TLS_method()));
  if (!context || !SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION))
    return tls_error("cannot set up TLS 1.3", "");
  // Where AES instructions are missing or emulated AES-GCM costs several times what ChaCha20 does. The side
  // that connects proposes, the other one takes the first proposal that it knows.
  const char* suites = aes_is_faster() ? "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
                                       : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
  if (!SSL_CTX_set_ciphersuites(context.get(), suites))
    return tls_error("cannot choose ciphers", "");
  if (!SSL_CTX_load_verify_locations(context.get(), files.ca.c_str(), nullptr))
    return tls_error("cannot read the CA certificate " + files.ca, "copy ca.crt of your CA there");
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
    return tls_error("cannot read the certificate " + files.certificate, "make one: rcctl ca issue NODE");
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return tls_error("cannot use the private key " + files.key,
                     "it must be the one that was issued with " + files.certificate);
  if (SSL_CTX_check_private_key(context.get()) != 1)
    return tls_error("the private key " + files.key + " does not belong to " + files.certificate,
                     "copy both from the CA again");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_read_ahead(context.get(), 1); // a read of the socket takes several records
  SSL_CTX_set_default_read_buffer_len(context.get(), read_buffer_bytes);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

  X509* own = SSL_CTX_get0_certificate(context.get());
  const std::int64_t valid_until = unix_time(X509_get0_notAfter(own));
  if (valid_until < std::time(nullptr))
    return Error{ErrorCode::NotPermitted, "the certificate " + files.certificate + " has expired",
                 "issue a new one: rcctl ca issue NODE"};
  std::unique_ptr<X509_STORE_CTX, void (*)(X509_STORE_CTX*)> check(X509_STORE_CTX_new(), X509_STORE_CTX_free);
  if (!check || !X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context.get()), own, nullptr) ||
      X509_verify_cert(check.get()) != 1)
    return Error{ErrorCode::NotPermitted,
                 "the certificate " + files.certificate + " is not of the CA " + files.ca,
                 "copy ca.crt and the node's certificate from the same CA"};
  const auto name = name_in(own);
  if (!name)
    return name.error().because(files.certificate);
  return std::shared_ptr<TlsContext>(std::make_shared<Context>(std::move(context), *name, valid_until));
}

Result<std::string> peer_name(const ssl_st* ssl) {
  X509* certificate = SSL_get1_peer_certificate(ssl);
  if (!certificate)
    return Error{ErrorCode::NotPermitted, "the peer showed no certificate",
                 "every node needs one: rcctl ca issue NODE"};
  auto name = name_in(certificate);
  X509_free(certificate);
  return name;
}

} // namespace rc::io
