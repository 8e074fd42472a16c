import * as grpc from '@grpc/grpc-js';

/** A node's certificate chain, its private key and the swarm's root, all PEM. */
export interface TlsMaterial {
  certificate: string;
  key: string;
  root: string;
}

/** Holds the present material; it changes when the certificate is renewed. */
export interface TlsSource {
  tls(): TlsMaterial;
  /** @returns the unsubscribe. */
  onChange(listener: () => void): () => void;
}

/** Every manager's certificate carries this name, whatever address it is reached by (swarmkit ca/config.go). */
const MANAGER_SERVER_NAME = 'swarm-manager';

export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** For servers and clients: a peer that is gone without a word is noticed within 5 s. */
export const TRANSPORT_OPTIONS = {
  'grpc.keepalive_time_ms': 3000,
  'grpc.keepalive_timeout_ms': 2000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
} as const satisfies grpc.ChannelOptions;

/** The defaults let the backoff grow to 120 s and take a proxy from the environment: not between our own nodes. */
export const CHANNEL_OPTIONS = {
  ...TRANSPORT_OPTIONS,
  'grpc.ssl_target_name_override': MANAGER_SERVER_NAME,
  'grpc.default_authority': MANAGER_SERVER_NAME,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 3000,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
} as const satisfies grpc.ChannelOptions;

/** Mutual TLS with the node's own certificate. */
export function nodeCredentials(material: TlsMaterial): grpc.ChannelCredentials {
  return grpc.credentials.createSsl(
    Buffer.from(material.root),
    Buffer.from(material.key),
    Buffer.from(material.certificate),
  );
}

/** The manager is verified, the caller shows nothing. */
export function anonymousCredentials(root: string): grpc.ChannelCredentials {
  return grpc.credentials.createSsl(Buffer.from(root));
}

/** Nobody is verified: only to ask for the root certificate, whose digest is then compared with the join token. */
export function unverifiedCredentials(): grpc.ChannelCredentials {
  return grpc.credentials.createSsl(null, null, null, {
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
}
