import { useState } from 'preact/hooks';
import { html } from 'htm/preact';
import { FormDialog } from './dialog.js';
import { useRequest } from './use-request.js';

/** Choices whose empty value means: as the gateway is set. */
const AS_SET = 'as the gateway is set';
/** @type {Record<string, readonly (readonly [value: string, text: string])[]>} */
const CODECS = {
  videoCodec: [
    ['', AS_SET],
    ['h264', 'H.264'],
    ['auto', 'as published where the server takes it'],
    ['source', 'as published'],
  ],
  audioCodec: [
    ['', AS_SET],
    ['aac', 'AAC'],
    ['auto', 'as published where the server takes it'],
    ['source', 'as published'],
  ],
};

/**
 * Creates a saved destination or changes one. A key or a URL is sent, but never shown.
 *
 * @param {{ access: import('../access.js').Access, saved: import('./saved.js').Saved,
 *   destination?: import('./saved.js').Destination, onClose: () => void }} props
 */
export function DestinationForm({ access, saved, destination, onClose }) {
  const { busy, error, run } = useRequest(access);
  const [platform, setPlatform] = useState(destination?.platform ?? '');
  const isNewTarget = !destination || (destination.platform ?? '') !== platform;
  const platforms = saved.platforms.value.filter(({ ingest }) => ingest);
  const backup = platforms.find(({ id }) => id === platform)?.backup;
  const unchanged = isNewTarget ? '' : 'unchanged';

  /** @param {FormData} form */
  const submit = (form) => {
    const text = (/** @type {string} */ name) => String(form.get(name) ?? '').trim();
    /** What is left out of a new destination is removed from an old one. @type {Record<string, unknown>} */
    const choices = {
      name: text('name'),
      ...(platform ? {} : { rtmpTransponderFullUrl: form.has('full') || undefined }),
      backup: platform && form.has('backup') ? true : undefined,
      standby: { on: true, off: false }[text('standby')],
      comply: form.has('comply') ? 'auto' : undefined,
      videoCodec: text('videoCodec') || undefined,
      audioCodec: text('audioCodec') || undefined,
      height: Number(text('height')) || undefined,
    };
    // What the form does not show, such as the file of a standby, stays.
    if (destination && typeof destination['standby'] === 'object' && text('standby') === 'on')
      delete choices['standby'];
    const secrets = {
      ...(platform && isNewTarget && { platform }),
      ...(text('secret') && { [platform ? 'streamKey' : 'rtmpUrl']: text('secret') }),
      ...(text('backupUrl') && { backupUrl: text('backupUrl'), backupMode: text('backupMode') }),
    };
    const body = Object.entries(choices).map(([name, value]) => [
      name,
      value === undefined && destination?.[name] !== undefined ? null : value,
    ]);
    void run('save', async () => {
      await saved.save('destinations', destination?.id, { ...Object.fromEntries(body), ...secrets });
      onClose();
    });
  };
  const standby = destination?.['standby'] === undefined ? '' : destination['standby'] ? 'on' : 'off';
  return html`<${FormDialog}
    title=${destination ? `Change ${destination.name}` : 'New destination'}
    action="Save"
    busy=${busy !== ''}
    error=${error}
    onSubmit=${submit}
    onClose=${onClose}
  >
    <div class="fields">
      <label class="grow"
        >Name <input name="name" required maxlength="100" defaultValue=${destination?.name ?? ''} autocomplete="off"
      /></label>
      <label
        >Send to
        <select value=${platform} onChange=${(/** @type {any} */ { target }) => setPlatform(target.value)}>
          <option value="">RTMP server</option>
          ${platforms.map(({ id, name }) => html`<option value=${id}>${name}</option>`)}
        </select></label
      >
    </div>
    <label
      >${platform ? 'Stream key' : 'URL'}
      <input
        name="secret"
        type="password"
        required=${isNewTarget}
        placeholder=${unchanged || (platform ? 'the key that the platform shows' : 'rtmp://host/application')}
        autocomplete="new-password"
        spellcheck=${false}
        autocapitalize="none"
    /></label>
    <p class="hint">It is encrypted and never shown again.</p>
    ${
      platform
        ? backup &&
          html`<label class="check"
            ><input name="backup" type="checkbox" defaultChecked=${destination?.['backup'] === true} /> Push to its
            backup server too</label
          >`
        : html`<label class="check"
              ><input name="full" type="checkbox" defaultChecked=${destination?.['rtmpTransponderFullUrl'] === true} />
              The URL ends with the stream key</label
            >
            <div class="fields">
              <label class="grow"
                >Backup URL (optional)
                <input
                  name="backupUrl"
                  type="password"
                  placeholder=${destination?.backupDestination ? 'unchanged' : 'rtmp://backup/application'}
                  autocomplete="new-password"
              /></label>
              <${Choice}
                name="backupMode"
                label="Push there"
                value=${destination?.['backupMode'] ?? 'hot'}
                choices=${[
                  ['hot', 'at the same time'],
                  ['cold', 'only while the first is lost'],
                ]}
              />
            </div>`
    }
    <details>
      <summary>Options</summary>
      <div class="fields">
        <${Choice}
          name="standby"
          label="Standby while the publisher is away"
          value=${standby}
          choices=${[
            ['', AS_SET],
            ['on', 'on'],
            ['off', 'off'],
          ]}
        />
        <${Choice}
          name="height"
          label="Height"
          value=${String(destination?.['height'] ?? '')}
          choices=${['', 1080, 720, 480, 360].map((each) => [String(each), each ? String(each) : 'as published'])}
        />
        <${Choice}
          name="videoCodec"
          label="Video codec"
          value=${destination?.['videoCodec'] ?? ''}
          choices=${CODECS['videoCodec']}
        />
        <${Choice}
          name="audioCodec"
          label="Audio codec"
          value=${destination?.['audioCodec'] ?? ''}
          choices=${CODECS['audioCodec']}
        />
      </div>
      <label class="check"
        ><input name="comply" type="checkbox" defaultChecked=${destination?.['comply'] === 'auto'} /> Transcode only
        while the stream breaks rules of the platform</label
      >
    </details>
  <//>`;
}

/** @param {{ name: string, label: string, value: string, choices: readonly (readonly [string, string])[] }} props */
function Choice({ name, label, value, choices }) {
  return html`<label
    >${label}
    <select name=${name}>
      ${choices.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}
    </select></label
  >`;
}
