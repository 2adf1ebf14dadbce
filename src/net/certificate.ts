import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';

export interface CertificateOptions {
  /** PEM files: the certificate with its chain, and its private key. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly logger: Logger;
  /** How often the files are looked at. */
  readonly watchMs?: number;
}

/** A server of Node's that can be given another certificate; its connections stay. */
interface SecureServer {
  setSecureContext(options: SecureContextOptions): void;
}

/** Renewals happen a month before the old certificate ends, so a minute is soon. */
const WATCH_MS = 60_000;

/** The certificate that the gateway shows to browsers. Its files are read again when they change, because a restart would end all streams. */
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

  /** What a TLS server begins with. TLS 1.2 is the least that browsers with WebRTC speak. */
  get secureOptions(): SecureContextOptions {
    return this.#secureOptions;
  }

  /** Gives the server each later certificate, too. */
  keepCurrent(server: SecureServer): void {
    this.#servers.add(server);
  }

  close(): void {
    for (const file of [this.#options.certFile, this.#options.keyFile]) unwatchFile(file, this.#renew);
  }

  /** Called for each of the two files. Between the two they may not belong together, and then the old ones stay. */
  readonly #renew = (): void => {
    const { logger } = this.#options;
    try {
      this.#secureOptions = read(this.#options);
    } catch (error) {
      logger.warn(
        { reason: (error as Error).message },
        'the changed certificate cannot be used; the one before stays until the files change again',
      );
      return;
    }
    for (const server of this.#servers) server.setSecureContext(this.#secureOptions);
    logger.info({ validTo: new X509Certificate(this.#secureOptions.cert as Buffer).validTo }, 'new certificate');
  };
}

function read({ certFile, keyFile }: CertificateOptions): SecureContextOptions {
  try {
    const options: SecureContextOptions = {
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      minVersion: 'TLSv1.2',
    };
    createSecureContext(options);
    return options;
  } catch (error) {
    const { code, path, message } = error as NodeJS.ErrnoException;
    const what = path
      ? `${path} cannot be read (${code})`
      : `${certFile} and ${keyFile} do not make a certificate in PEM with its key (${message})`;
    throw new GatewayError('SETTINGS_INVALID', `tls_cert and tls_key: ${what}.`, { cause: error });
  }
}
