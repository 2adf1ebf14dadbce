import { useEffect, useMemo, useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { visible } from '../text.js';
import { DestinationForm } from './destination-form.js';
import { GoLive, pushesOf } from './go-live.js';
import { GroupForm } from './group-form.js';
import { Notice } from './live-page.js';
import { Saved } from './saved.js';
import { useRequest } from './use-request.js';

/** Saved destinations and groups of them. @param {import('./main.js').PageProps} props */
export function DestinationsPage({ access, feed }) {
  const saved = useMemo(() => new Saved(access), [access]);
  /** The open form: of a new thing, or of one that there is. */
  const [form, setForm] = useState(/** @type {{ kind: string, item?: any } | undefined} */ (undefined));
  const { error, run } = useRequest(access);
  const isConnected = feed.state.value === 'open';
  // A key that was entered since may see more.
  useEffect(() => {
    if (isConnected) void saved.load();
  }, [saved, isConnected]);
  const close = () => setForm(undefined);
  /** @param {'destinations' | 'destination-groups'} kind @param {{ id: string, name: string }} item */
  const remove = (kind, { id, name }) => {
    if (confirm(`Remove ${visible(name)}?`)) void run('remove', () => saved.remove(kind, id));
  };
  const destinations = saved.destinations.value;
  if (!destinations) return html`<p class="error" role="alert">${saved.error}</p>`;
  const { mayChange } = saved;
  return html`<${Notice} feed=${feed} />
    <p class="error" role="alert">${saved.error.value || error}</p>
    ${
      destinations.length > 0 &&
      html`<section aria-labelledby="groups-title">
        <div class="row">
          <h2 id="groups-title">Groups</h2>
          ${mayChange && html`<button onClick=${() => setForm({ kind: 'group' })}>New group</button>`}
        </div>
        ${
          saved.groups.value.length === 0 &&
          html`<p class="hint">A group starts several destinations with one click, after a check of all of them.</p>`
        }
        <div class="cards">
          ${saved.groups.value.map(
            (group) =>
              html`<${GroupCard}
                key=${group.id}
                ...${{ access, feed, saved, group }}
                onChange=${() => setForm({ kind: 'group', item: group })}
                onRemove=${() => remove('destination-groups', group)}
              />`,
          )}
        </div>
      </section>`
    }
    <section aria-labelledby="destinations-title">
      <div class="row">
        <h2 id="destinations-title">Saved destinations</h2>
        ${mayChange && html`<button onClick=${() => setForm({ kind: 'destination' })}>New destination</button>`}
      </div>
      ${
        destinations.length === 0 &&
        html`<p class="hint">Save where streams go once: then nobody needs the stream key again.</p>`
      }
      <ul class="cards">
        ${destinations.map(
          (destination) =>
            html`<${DestinationCard}
              key=${destination.id}
              ...${{ saved, destination }}
              onChange=${() => setForm({ kind: 'destination', item: destination })}
              onRemove=${() => remove('destinations', destination)}
            />`,
        )}
      </ul>
    </section>
    ${
      form?.kind === 'destination' &&
      html`<${DestinationForm} ...${{ access, saved }} destination=${form.item} onClose=${close} />`
    }
    ${form?.kind === 'group' && html`<${GroupForm} ...${{ access, saved }} group=${form.item} onClose=${close} />`}`;
}

/**
 * @param {{ saved: Saved, destination: import('./saved.js').Destination, onChange: () => void, onRemove: () => void }} props
 */
function DestinationCard({ saved, destination, onChange, onRemove }) {
  const { name, destination: url, keyHint, backupDestination, platform, problem, groups } = destination;
  const platformName = saved.platforms.value.find(({ id }) => id === platform)?.name ?? platform;
  const traits = [
    keyHint && `key ${keyHint}`,
    (backupDestination || destination['backup']) && 'with backup',
    destination['standby'] && 'standby',
    destination['comply'] && 'complies with the rules',
    destination['height'] && `${destination['height']}p`,
  ].filter(Boolean);
  return html`<li class="card">
    <div class="row">
      <h3>${visible(name)}</h3>
      ${platformName && html`<span class="pill" data-state="plain">${platformName}</span>`}
    </div>
    <p><code>${visible(url)}</code></p>
    <p class="hint">${traits.join(' · ')}</p>
    ${problem && html`<p class="error">${visible(problem)}</p>`}
    ${
      saved.mayChange &&
      html`<div class="buttons">
        <button onClick=${onChange} aria-label=${`Change ${name}`}>Change</button>
        <button
          class="danger"
          onClick=${onRemove}
          disabled=${groups.length > 0}
          title=${groups.length > 0 ? 'It is in a group.' : ''}
          aria-label=${`Remove ${name}`}
        >
          Remove
        </button>
      </div>`
    }
  </li>`;
}

/**
 * @param {{ access: import('../access.js').Access, feed: import('./live-feed.js').LiveFeed, saved: Saved,
 *   group: import('./saved.js').Group, onChange: () => void, onRemove: () => void }} props
 */
function GroupCard({ access, feed, saved, group, onChange, onRemove }) {
  const streams = [...feed.items.value.values()]
    .filter(({ entry }) => entry.peek().kind === 'stream')
    .map(({ entry }) => entry.peek().key)
    .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const live = [...new Set(pushesOf(feed, group.id).map(({ entry }) => entry.value.fields['sourceStreamName']))];
  const [chosen, choose] = useState('');
  const stream = streams.includes(chosen) ? chosen : (live[0] ?? streams[0] ?? '');
  const names = group.destinationIds.map((id) => saved.destinations.value?.find((each) => each.id === id)?.name ?? id);
  return html`<section class="card" aria-label=${group.name}>
    <div class="row">
      <h3>${visible(group.name)}</h3>
      ${live.length > 0 && html`<span class="pill" data-state="good">${`Live with ${live.map(visible).join(', ')}`}</span>`}
    </div>
    <p>${names.map(visible).join(' · ')}</p>
    ${
      group.onPublish.length > 0 &&
      html`<p class="hint">${`Goes live whenever published: ${group.onPublish.map(visible).join(', ')}`}</p>`
    }
    <label
      >Stream
      <select
        value=${stream}
        disabled=${streams.length === 0}
        onChange=${(/** @type {any} */ { target }) => choose(target.value)}
      >
        ${streams.length === 0 && html`<option value="">no stream is live</option>`}
        ${streams.map((name) => html`<option value=${name}>${visible(name)}</option>`)}
      </select></label
    >
    <${GoLive} key=${stream} ...${{ access, feed, group, stream }} />
    ${
      saved.mayChange &&
      html`<div class="buttons">
        <button class="quiet" onClick=${onChange} aria-label=${`Change ${group.name}`}>Change</button>
        <button class="quiet danger" onClick=${onRemove} aria-label=${`Remove ${group.name}`}>Remove</button>
      </div>`
    }
  </section>`;
}
