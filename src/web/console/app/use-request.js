import { useState } from 'preact/hooks';

/**
 * Work that the user starts with a button: whether it is going on, and why it has failed.
 *
 * @param {import('../access.js').Access} access
 */
export function useRequest(access) {
  const [busy, setBusy] = useState('');
  const [error, setError] = useState('');
  /**
   * @param {string} name of the work
   * @param {() => Promise<unknown>} work
   */
  const run = async (name, work) => {
    setBusy(name);
    setError('');
    try {
      await work();
    } catch (failure) {
      access.asksForKey(failure);
      setError(failure instanceof Error ? failure.message : String(failure));
    }
    setBusy('');
  };
  return { busy, error, run };
}
