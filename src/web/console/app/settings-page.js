import { useEffect, useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { counted } from '../text.js';
import { Filters, Search } from './filters.js';

/** @typedef {import('../../../api/ops/settings-routes.ts').SettingView} Setting */

const textOf = (/** @type {unknown} */ value) =>
  value === undefined || value === '' ? '–' : typeof value === 'string' ? value : JSON.stringify(value);

/** The settings of the gateway, to read. @param {import('./main.js').PageProps} props */
export function SettingsPage({ access, feed }) {
  const [settings, setSettings] = useState(/** @type {readonly Setting[]} */ ([]));
  const [error, setError] = useState('');
  const [text, setText] = useState('');
  const [all, setAll] = useState(false);
  const isConnected = feed.state.value === 'open';
  useEffect(() => {
    if (!isConnected) return;
    access.ask('/api/v1/settings').then(
      (answer) => (setSettings(/** @type {Setting[]} */ (answer)), setError('')),
      (failure) => setError(failure.message),
    );
  }, [access, isConnected]);
  const shown = settings.filter(
    ({ key, set, source }) => key.includes(text.trim()) && (all || set || source !== 'default'),
  );
  return html`<p class="error" role="alert">${error}</p>
    <${Filters}>
      <${Search} label="Name contains" text=${text} onText=${setText} />
      <label class="check"
        ><input type="checkbox" checked=${all} onChange=${(/** @type {any} */ { target }) => setAll(target.checked)} />
        With those that have their default</label
      >
      <p class="state" role="status">${`${shown.length} of ${counted(settings.length, 'setting')}`}</p>
    <//>
    ${
      shown.length > 0 &&
      html`<div class="card table" role="region" aria-label="Settings" tabindex="0">
        <table>
          <thead>
            <tr>
              ${['Setting', 'Value', 'Default', 'From'].map((name) => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${shown.map(
              ({ key, value, default: standard, source, secret, set }) =>
                html`<tr key=${key}>
                  <th scope="row"><code>${key}</code></th>
                  <td>${secret ? (set ? 'set, not shown' : 'not set') : textOf(value)}</td>
                  <td>${secret ? '' : textOf(standard)}</td>
                  <td>${source}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`
    }`;
}
