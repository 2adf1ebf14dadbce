/**
 * An id that nobody guesses: 128 bits. `crypto.randomUUID` is missing on plain http pages of other machines than this one.
 *
 * @returns {string} 32 hexadecimal digits
 */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
