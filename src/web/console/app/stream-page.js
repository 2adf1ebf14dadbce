import { useEffect, useMemo, useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { counted, visible } from '../text.js';
import { Chart } from './chart.js';
import { bitRate, codecsOf, lostLately, protocolOf, streamRate, timeOf } from './format.js';
import { GoLive } from './go-live.js';
import { Notice } from './live-page.js';
import { Preview } from './preview.js';
import { PushCard } from './push-card.js';
import { Recordings } from './recordings.js';
import { Saved } from './saved.js';
import { stateOf } from './stream-card.js';
import { Timeline } from './timeline.js';

/** @typedef {import('./live-feed.js').Followed} Followed */

/** One stream with everything that belongs to it. @param {import('./main.js').PageProps} props */
export function StreamPage({ access, feed, rest: name }) {
  const saved = useMemo(() => new Saved(access), [access]);
  const [group, setGroup] = useState('');
  const [sound, setSound] = useState({ file: 'sound.wav', loop: true });
  const isConnected = feed.state.value === 'open';
  useEffect(() => {
    if (isConnected) void saved.load();
  }, [saved, isConnected]);
  // The charts go on each second.
  void feed.heardAt.value;
  const all = [...feed.items.value.values()];
  const stream = all.find(({ entry: { value } }) => value.kind === 'stream' && value.key === name);
  const pushes = all.filter(
    ({ entry: { value } }) => value.kind === 'push' && value.fields['sourceStreamName'] === name,
  );
  const events = feed.timeline.value.filter((event) => event.stream === name);
  const chosen = saved.groups.value.find(({ id }) => id === group) ?? saved.groups.value[0];
  const hasSound = pushes.length > 0 && (access.principal?.actions.includes('control') ?? true);
  return html`<${Notice} feed=${feed} />
    <p><a href="#/">All streams</a></p>
    ${
      stream
        ? html`<${Overview} ...${{ access, stream }} />`
        : html`<p class="card">
            There is no stream with this name at present. This page shows it when it is published.
          </p>`
    }
    ${
      saved.groups.value.length > 0 &&
      chosen &&
      html`<section class="card" aria-labelledby="go-live-title">
        <h2 id="go-live-title">Go live</h2>
        <div class="fields">
          <label
            >Group of destinations
            <select value=${chosen.id} onChange=${(/** @type {any} */ { target }) => setGroup(target.value)}>
              ${saved.groups.value.map((each) => html`<option value=${each.id}>${visible(each.name)}</option>`)}
            </select></label
          >
        </div>
        <${GoLive} key=${chosen.id} ...${{ access, feed, group: chosen, stream: stream ? name : '' }} />
      </section>`
    }
    <section class="card" aria-labelledby="pushes-title">
      <div class="row">
        <h2 id="pushes-title">${counted(pushes.length, 'push', 'pushes')}</h2>
        ${
          hasSound &&
          html`<div class="fields sound">
            <label
              >Sound file
              <input
                size="12"
                value=${sound.file}
                onInput=${(/** @type {any} */ { target }) => setSound({ ...sound, file: target.value })}
            /></label>
            <label class="check"
              ><input
                type="checkbox"
                checked=${sound.loop}
                onChange=${(/** @type {any} */ { target }) => setSound({ ...sound, loop: target.checked })}
              />
              Repeat</label
            >
          </div>`
        }
      </div>
      ${pushes.length === 0 && html`<p class="hint">Nothing is pushed.</p>`}
      <ul class="pushes">
        ${pushes.map((push) => html`<${PushCard} key=${push.id} ...${{ access, push, sound }} />`)}
      </ul>
    </section>
    ${stream && html`<${Charts} ...${{ stream, pushes }} />`}
    <section class="card" aria-labelledby="events-title">
      <h2 id="events-title">What has happened</h2>
      ${events.length === 0 && html`<p class="hint">Nothing since the gateway has started.</p>`}
      <${Timeline} events=${events} />
    </section>
    ${
      !access.config.cluster &&
      html`<section class="card" aria-labelledby="recordings-title">
        <h2 id="recordings-title">Recordings</h2>
        <${Recordings} ...${{ access, stream: name }} />
      </section>`
    }`;
}

/** @param {{ access: import('../access.js').Access, stream: Followed }} props */
function Overview({ access, stream }) {
  const { key, node, fields, numbers } = stream.entry.value;
  const [state, word] = stateOf(fields);
  const away = fields['publisherAway'];
  /** @type {readonly (readonly [string, string | undefined])[]} */
  const figures = [
    ['Bitrate', streamRate(numbers)],
    ['Size', fields['width'] ? `${fields['width']}×${fields['height']}` : '–'],
    ['Codecs', codecsOf(fields)],
    ['Protocol', protocolOf(fields['protocol'])],
    ['Lost in 10 s', counted(lostLately(stream.samples), 'packet')],
    ['Round trip', numbers['roundTripMs'] ? `${numbers['roundTripMs']} ms` : '–'],
    ['Viewers', String(fields['viewers'])],
    ['Live since', timeOf(fields['startedAt'])],
    ['Node', node],
  ];
  return html`<section class="card overview" aria-label="Stream">
    <${Preview} ...${{ name: key, fields, access }} />
    <div>
      <p class="pills">
        <span class="pill" data-state=${state}>${word}</span>
        ${fields['recording'] && html`<span class="pill" data-state="bad">REC</span>`}
      </p>
      ${fields['videoProblem'] && html`<p class="error">${visible(fields['videoProblem'])}</p>`}
      ${away && html`<p class="hint">${`Since ${timeOf(away.since)}. The gateway waits until ${timeOf(away.until)}.`}</p>`}
      <dl class="figures">
        ${figures.map(
          ([title, value]) =>
            value &&
            html`<div key=${title}>
              <dt>${title}</dt>
              <dd>${value}</dd>
            </div>`,
        )}
      </dl>
      ${
        fields['room'] !== undefined &&
        html`<p>
          Room:
          <a href=${`./console/rooms.html?prefix=${encodeURIComponent(fields['room'])}`}>${visible(fields['room'])}</a>
        </p>`
      }
    </div>
  </section>`;
}

/** @param {{ stream: Followed, pushes: readonly Followed[] }} props */
function Charts({ stream, pushes }) {
  const incoming = { label: 'in', samples: stream.samples, number: 'bitrate' };
  const outgoing = (/** @type {string} */ number) =>
    pushes.map(({ entry, samples }) => ({ label: visible(entry.value.fields['destination']), samples, number }));
  const whole = (/** @type {number} */ value) => String(Math.round(value));
  const milliseconds = (/** @type {number} */ value) => `${Math.round(value)} ms`;
  return html`<section class="card" aria-labelledby="charts-title">
    <h2 id="charts-title">The last ten minutes</h2>
    <p class="hint">From when this console was opened.</p>
    <div class="charts">
      <${Chart} title="Bitrate" series=${[incoming, ...outgoing('bitrate')]} format=${bitRate} />
      <${Chart}
        title="Round trip to the publisher"
        series=${[{ label: 'in', samples: stream.samples, number: 'roundTripMs' }]}
        format=${milliseconds}
      />
      ${
        pushes.length > 0 &&
        html`<${Chart} title="Frames per second" series=${outgoing('fps')} format=${whole} />
          <${Chart} title="Dropped frames" series=${outgoing('framesDropped')} format=${whole} />
          <${Chart} title="Buffer" series=${outgoing('bufferMs')} format=${milliseconds} />`
      }
    </div>
  </section>`;
}
