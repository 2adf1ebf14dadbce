import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

const ALGORITHM = 'aes-256-gcm';
export const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_BYTES = 6;
const VERSION = 'v1';

/** Why a sealed value cannot be opened. */
export class UnsealError extends Error {
  readonly reason: 'wrong-key' | 'damaged';

  constructor(reason: 'wrong-key' | 'damaged', options?: ErrorOptions) {
    super(
      reason === 'wrong-key'
        ? 'the value was encrypted with another key'
        : 'the encrypted value is damaged, or belongs to another place',
      options,
    );
    this.name = 'UnsealError';
    this.reason = reason;
  }
}

/** Encrypts secrets for the store (AES-256-GCM). */
export class SecretBox {
  readonly #key: Buffer;
  /** Tells a wrong key from a damaged value. */
  readonly #keyId: string;

  /** @param key 32 bytes */
  constructor(key: Buffer) {
    if (key.length !== KEY_BYTES) throw new TypeError(`a key has ${KEY_BYTES} bytes`);
    this.#key = key;
    this.#keyId = createHmac('sha256', key).update('key id').digest().subarray(0, KEY_ID_BYTES).toString('base64url');
  }

  /** With a key that ends with the process: for a store in memory. */
  static withRandomKey(): SecretBox {
    return new SecretBox(randomBytes(KEY_BYTES));
  }

  /** @param context where the value is kept, for example its namespace and key: it cannot be opened elsewhere */
  seal(text: string, context: string): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, iv, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(context));
    const sealed = Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return [VERSION, this.#keyId, sealed.toString('base64url')].join('.');
  }

  /** @throws {UnsealError} */
  open(sealed: string, context: string): string {
    const [version, keyId, data = ''] = sealed.split('.');
    const bytes = Buffer.from(data, 'base64url');
    if (version !== VERSION || bytes.length < IV_BYTES + TAG_BYTES) throw new UnsealError('damaged');
    if (keyId !== this.#keyId) throw new UnsealError('wrong-key');
    try {
      const iv = bytes.subarray(0, IV_BYTES);
      const decipher = createDecipheriv(ALGORITHM, this.#key, iv, { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    } catch (error) {
      throw new UnsealError('damaged', { cause: error });
    }
  }
}
