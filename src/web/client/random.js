/**
 * A random id of 128 bits. `crypto.randomUUID` exists only in secure contexts.
 *
 * @returns {string} 32 hexadecimal digits
 */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
