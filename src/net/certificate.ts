import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import type { Settings } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';

export interface CertificateOptions {
  /** PEM files: the certificate with its chain, and its private key. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly logger: Logger;
  /** How often the files are checked, in milliseconds. */
  readonly watchMs?: number;
}

/** A Node server whose certificate can be replaced; existing connections are kept. */
interface SecureServer {
  setSecureContext(options: SecureContextOptions): void;
}

/** Authenticated encryption with forward secrecy only: TLS 1.3, and what TLS 1.2 has of it. All browsers with WebRTC know these. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** Certificates are renewed weeks before they expire, so once a minute is enough. */
const WATCH_MS = 60_000;

/**
 * The certificate of the gateway's HTTPS and WSS servers. Its files are read again when they change, because a restart
 * would end all streams.
 */
export class Certificate {
  readonly #options: CertificateOptions;
  readonly #servers = new Set<SecureServer>();
  #secureOptions: SecureContextOptions;

  /** @throws {GatewayError} SETTINGS_INVALID if the files cannot be read, or are not a certificate and its key */
  constructor(options: CertificateOptions) {
    this.#options = options;
    this.#secureOptions = read(options);
    for (const file of [options.certFile, options.keyFile])
      watchFile(file, { interval: options.watchMs ?? WATCH_MS, persistent: false }, this.#renew);
  }

  /** Options for creating a TLS server. All browsers with WebRTC support TLS 1.2. */
  get secureOptions(): SecureContextOptions {
    return this.#secureOptions;
  }

  /** Updates the server whenever the certificate changes. */
  keepCurrent(server: SecureServer): void {
    this.#servers.add(server);
  }

  close(): void {
    for (const file of [this.#options.certFile, this.#options.keyFile]) unwatchFile(file, this.#renew);
  }

  /** Called for each of the two files. Between the two calls they may not match; then the previous ones are kept. */
  readonly #renew = (): void => {
    const { logger } = this.#options;
    try {
      this.#secureOptions = read(this.#options);
    } catch (error) {
      logger.warn(
        { reason: (error as Error).message },
        'the changed certificate cannot be used; the previous one is kept until the files change again',
      );
      return;
    }
    for (const server of this.#servers) server.setSecureContext(this.#secureOptions);
    logger.info({ validTo: new X509Certificate(this.#secureOptions.cert as Buffer).validTo }, 'new certificate');
  };
}

/** The certificate of the settings; nothing without `tls_cert`. @throws {GatewayError} SETTINGS_INVALID */
export const createCertificate = (
  { tls_cert: certFile, tls_key: keyFile }: Pick<Settings, 'tls_cert' | 'tls_key'>,
  logger: Logger,
): Certificate | undefined => (certFile ? new Certificate({ certFile, keyFile, logger }) : undefined);

function read({ certFile, keyFile }: CertificateOptions): SecureContextOptions {
  try {
    const options: SecureContextOptions = {
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      minVersion: 'TLSv1.2',
      ciphers: CIPHERS,
      honorCipherOrder: true,
    };
    createSecureContext(options);
    return options;
  } catch (error) {
    const { code, path, message } = error as NodeJS.ErrnoException;
    const what = path
      ? `${path} cannot be read (${code})`
      : `${certFile} and ${keyFile} are not a PEM certificate and its key (${message})`;
    throw new GatewayError('SETTINGS_INVALID', `tls_cert and tls_key: ${what}.`, { cause: error });
  }
}
