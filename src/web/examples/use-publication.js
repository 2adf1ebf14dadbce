import { useEffect, useState } from 'react';
import { Session } from '@webrtc-transponder/client';

/**
 * Publishes the camera while a component is mounted.
 *
 * const { stream, state, error } = usePublication('wss://gateway.example:8443', 'stream1');
 *
 * @param {string} url
 * @param {string} name
 * @param {{ token?: string } & Partial<import('../client/index.js').PublishOptions>} [options]
 */
export function usePublication(url, name, { token, ...options } = {}) {
  const [view, setView] = useState(/** @type {Record<string, any>} */ ({ state: 'connecting' }));
  useEffect(() => {
    /** @type {Session | undefined} */
    let session;
    let left = false;
    const show = (/** @type {object} */ change) => left || setView((before) => ({ ...before, ...change }));
    const start = async () => {
      session = await Session.connect(url, { token });
      if (left) return session.close();
      const publication = await session.publish({ name, ...options });
      show({ stream: publication.stream, state: publication.state });
      publication.on('state', (state, _info, error) => show({ state, error }));
      publication.on('stats', (stats) => show({ stats }));
      publication.on('transponder', (push) => show({ push }));
    };
    start().catch((error) => show({ state: 'ended', error }));
    return () => {
      left = true;
      session?.close();
    };
  }, [url, name]);
  return view;
}
