import { useEffect, useRef, useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { urlOf } from '../base.js';
import { WhipSession } from '../whip-session.js';
import { Poster } from './poster.js';

/** Pixels of the snapshot. */
const WIDTH = 640;

/**
 * A stream as it is now: a snapshot, or on demand the stream itself by WHEP.
 *
 * @param {{ name: string, fields: Record<string, any>, access: import('../access.js').Access }} props
 */
export function Preview({ name, fields, access }) {
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const [session, setSession] = useState(/** @type {WhipSession | undefined} */ (undefined));
  const [state, setState] = useState('');
  useEffect(() => () => void session?.close(), [session]);

  const play = async () => {
    setState('Connecting…');
    const connection = new RTCPeerConnection();
    for (const kind of ['audio', 'video']) connection.addTransceiver(kind, { direction: 'recvonly' });
    const stream = new MediaStream();
    connection.ontrack = ({ track }) => stream.addTrack(track);
    if (video.current) video.current.srcObject = stream;
    try {
      const opened = await WhipSession.open(
        urlOf(`/whep/${encodeURIComponent(name)}`),
        connection,
        access.pushes.apiKey,
      );
      setSession(opened);
      setState('');
      opened.addEventListener('change', () => {
        if (opened.state !== 'failed' && opened.state !== 'closed') return;
        setSession(undefined);
        setState('The preview has ended.');
      });
    } catch (error) {
      connection.close();
      setState(/** @type {Error} */ (error).message);
    }
  };
  const stop = () => setSession(undefined);
  const isLive = fields['status'] === 'live';
  return html`<div class="preview">
    <video
      ref=${video}
      hidden=${!session}
      muted
      playsinline
      autoplay
      controls
      aria-label=${`Preview of ${name}`}
    ></video>
    ${
      !session &&
      html`<${Poster} name=${name} shown=${isLive && fields['videoCodec'] !== null} access=${access} width=${WIDTH} />`
    }
    <div class="buttons">
      ${
        session
          ? html`<button onClick=${stop}>Stop the preview</button>`
          : html`<button onClick=${play} disabled=${!isLive || state === 'Connecting…'}>Play</button>`
      }
      <p class="state" role="status">${state}</p>
    </div>
  </div>`;
}
