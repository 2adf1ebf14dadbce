import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Certificate {
  /** PEM files: the private key and the self-signed certificate. */
  readonly keyFile: string;
  readonly certificateFile: string;
  remove(): Promise<void>;
}

/** @param subjectAltName in OpenSSL's notation */
export async function makeCertificate(subjectAltName = 'DNS:localhost,IP:127.0.0.1'): Promise<Certificate> {
  const folder = await mkdtemp(join(tmpdir(), 'certificate-'));
  const [keyFile, certificateFile] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  await promisify(execFile)('openssl', [
    ...[
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=test',
    ],
    ...['-addext', `subjectAltName=${subjectAltName}`, '-keyout', keyFile, '-out', certificateFile],
  ]);
  return { keyFile, certificateFile, remove: () => rm(folder, { recursive: true, force: true }) };
}
