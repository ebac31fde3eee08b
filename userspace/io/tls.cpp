// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/tls.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace rc::io {
namespace {

constexpr const char* with_aes = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* without_aes =
    "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

constexpr std::size_t read_buffer_bytes = 256 << 10;

Error openssl_error(const std::string& what) {
  char text[256] = "unknown reason";
  if (const unsigned long code = ERR_get_error(); code != 0)
    ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return Error{ErrorCode::Failed, what + ": " + text, ""};
}

bool plain_name(const std::string& name) { // no NUL or odd byte can make two names look alike
  if (name.empty() || name.size() > 255)
    return false;
  for (const char c : name)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.'))
      return false;
  return true;
}

Result<std::string> name_in(const X509* certificate) {
  std::vector<std::string> names;
  using Names = std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)>;
  const Names alternatives(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  const auto text_of = [](const ASN1_STRING* string) {
    return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
                       static_cast<std::size_t>(ASN1_STRING_length(string)));
  };
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); i++)
    if (const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives.get(), i); name->type == GEN_DNS)
      names.push_back(text_of(name->d.dNSName));
  if (names.empty()) {
    X509_NAME* subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0)
      names.push_back(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
  }
  if (names.size() != 1 || !plain_name(names[0]))
    return Error{ErrorCode::NotPermitted, "a certificate that does not name exactly one node",
                 "issue it with: rcctl ca issue NODE"};
  return names[0];
}

class OpensslContext final : public TlsContext {
public:
  using Native = std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)>;
  OpensslContext(Native native, std::string name, std::int64_t until)
      : native_(std::move(native)), name_(std::move(name)), until_(until) {}
  const std::string& own_name() const override { return name_; }
  std::int64_t valid_until_unix() const override { return until_; }
  ssl_ctx_st* native() override { return native_.get(); }

private:
  Native native_;
  std::string name_;
  std::int64_t until_;
};

std::int64_t unix_time(const ASN1_TIME* time) {
  std::tm broken{};
  return ASN1_TIME_to_tm(time, &broken) ? timegm(&broken) : 0;
}

Status verify_own(SSL_CTX* context, X509* certificate) {
  const std::unique_ptr<X509_STORE_CTX, void (*)(X509_STORE_CTX*)> check(X509_STORE_CTX_new(),
                                                                         X509_STORE_CTX_free);
  if (!check || !X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), certificate, nullptr))
    return openssl_error("check of the own certificate");
  if (X509_verify_cert(check.get()) == 1)
    return {};
  return Error{ErrorCode::NotPermitted,
               std::string("the own certificate is not good: ") +
                   X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get())),
               "issue a new one with: rcctl ca issue NODE"};
}

} // namespace

namespace {

bool cpu_says_aes() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_AES);
#elif defined(__aarch64__)
  return getauxval(AT_HWCAP) & HWCAP_AES;
#else
  return false;
#endif
}

// Bytes encrypted per second; the best of three short runs.
double speed_of(const EVP_CIPHER* cipher) {
  static const unsigned char key[32] = {1}, nonce[12] = {2};
  std::vector<unsigned char> buffer(32 << 10);
  const std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> context(EVP_CIPHER_CTX_new(),
                                                                           EVP_CIPHER_CTX_free);
  double best = 0;
  for (int run = 0; run < 3; run++) {
    const auto begin = std::chrono::steady_clock::now();
    int length = 0;
    if (!context || !EVP_EncryptInit_ex(context.get(), cipher, nullptr, key, nonce) ||
        !EVP_EncryptUpdate(context.get(), buffer.data(), &length, buffer.data(),
                           static_cast<int>(buffer.size())))
      return 0;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(buffer.size()) / std::max(took.count(), 1e-9));
  }
  return best;
}

} // namespace

bool aes_is_fast() {
  // An emulated CPU says that it has AES instructions, and carries them out slowly: only measuring tells.
  static const bool fast =
      cpu_says_aes() && speed_of(EVP_aes_128_gcm()) * 1.2 > speed_of(EVP_chacha20_poly1305());
  return fast;
}

Result<std::shared_ptr<TlsContext>> TlsContext::load(const TlsFiles& files) {
  ERR_clear_error();
  OpensslContext::Native native(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  SSL_CTX* context = native.get();
  if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
      !SSL_CTX_set_ciphersuites(context, aes_is_fast() ? with_aes : without_aes))
    return openssl_error("TLS 1.3");
  // Either end may be without AES instructions: the server looks at what its client prefers.
  SSL_CTX_set_options(context, SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET |
                                   SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1); // several TLS records per system call
  SSL_CTX_set_default_read_buffer_len(context, read_buffer_bytes);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  if (!SSL_CTX_load_verify_file(context, files.ca.c_str()))
    return openssl_error("CA certificate " + files.ca)
        .then("copy it from the node where rcctl ca init was run");
  if (!SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()))
    return openssl_error("certificate " + files.certificate).then("issue it with: rcctl ca issue NODE");
  if (!SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM))
    return openssl_error("private key " + files.key).then("it belongs to the certificate: copy both");
  if (!SSL_CTX_check_private_key(context))
    return openssl_error("certificate " + files.certificate + " and key " + files.key +
                         " don't belong together")
        .then("copy both from one run of rcctl ca issue NODE");
  X509* own = SSL_CTX_get0_certificate(context);
  if (Status good = verify_own(context, own); !good)
    return good.error().because(files.certificate);
  auto name = name_in(own);
  if (!name)
    return name.error().because(files.certificate);
  return std::shared_ptr<TlsContext>(std::make_shared<OpensslContext>(std::move(native), std::move(*name),
                                                                      unix_time(X509_get0_notAfter(own))));
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

Result<std::string> peer_name(const ssl_st* ssl) {
  const std::unique_ptr<X509, void (*)(X509*)> certificate(SSL_get1_peer_certificate(ssl), X509_free);
  if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK)
    return Error{ErrorCode::NotPermitted, "no certificate of this installation's CA",
                 "issue one with: rcctl ca issue NODE"};
  return name_in(certificate.get());
}

} // namespace rc::io
