import { html, render } from 'htm/preact';
import { useEffect, useRef, useState } from 'react';
import { gatewayUrl } from './example.js';
import { usePublication } from './use-publication.js';

/** A component that publishes as long as it is shown. @param {{ url: string, name: string, token: string }} props */
function Camera({ url, name, token }) {
  const { stream, state, error } = usePublication(url, name, token ? { token } : {});
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  useEffect(() => {
    if (video.current) video.current.srcObject = stream ?? null;
  }, [stream]);
  return html`<video id="video" ref=${video} autoplay playsinline muted width="640" height="360"></video>
    <p id="state" role="status">${state === 'publishing' ? 'Publishing' : state}</p>
    <p id="error" role="alert">${error?.message}</p>`;
}

/** @param {{ url: string }} props */
function App({ url }) {
  const [shown, setShown] = useState(/** @type {{ name: string, token: string } | undefined} */ (undefined));
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const fields = new FormData(/** @type {HTMLFormElement} */ (event.target));
    setShown({ name: String(fields.get('name')), token: String(fields.get('key')) });
  };
  return html`<form id="form" onSubmit=${submit}>
      <label>Stream <input id="name" name="name" defaultValue="stream1" required spellcheck="false" /></label>
      <label
        >Key or token, if the gateway requires one <input id="key" name="key" type="password" autocomplete="off"
      /></label>
      <button disabled=${shown}>Publish</button>
      <button id="stop" type="button" disabled=${!shown} onClick=${() => setShown(undefined)}>Stop</button>
    </form>
    ${shown ? html`<${Camera} url=${url} ...${shown} />` : html`<p id="state" role="status">Stopped</p>`}`;
}

const root = /** @type {HTMLElement} */ (document.querySelector('#root'));
render(html`<${App} url=${await gatewayUrl()} />`, root);
