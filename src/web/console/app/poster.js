import { useEffect, useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { urlOf } from '../base.js';

/** Milliseconds between two snapshots, each of which costs the gateway a decode, and before the first one. */
const [INTERVAL, DELAY] = [20_000, 300];
/** Pixels. */
const WIDTH = 320;

/**
 * A snapshot of a stream.
 *
 * @param {{ name: string, shown: boolean, access: import('../access.js').Access, width?: number }} props
 */
export function Poster({ name, shown, access, width = WIDTH }) {
  const [source, setSource] = useState('');
  useEffect(() => {
    setSource('');
    if (!shown) return undefined;
    const ask = () => {
      if (document.hidden) return;
      const url = new URL(urlOf(`/api/v1/streams/${encodeURIComponent(name)}/snapshot.jpg`));
      url.searchParams.set('width', String(width));
      url.searchParams.set('t', String(Date.now()));
      const { apiKey } = access.pushes;
      // An image element cannot send headers.
      if (apiKey) url.searchParams.set('accessToken', apiKey);
      setSource(url.href);
    };
    // A card that is scrolled past needs none.
    const first = setTimeout(ask, DELAY);
    const timer = setInterval(ask, INTERVAL);
    return () => {
      clearTimeout(first);
      clearInterval(timer);
    };
  }, [name, shown, width]);
  return html`<div class="stream-poster">
    ${source && html`<img src=${source} alt="" onError=${() => setSource('')} />`}
    ${!shown && html`<span>no video</span>`}
  </div>`;
}
