import { html } from 'htm/preact';
import { visible } from '../text.js';
import { FormDialog } from './dialog.js';
import { useRequest } from './use-request.js';

/**
 * Creates a group of saved destinations or changes one.
 *
 * @param {{ access: import('../access.js').Access, saved: import('./saved.js').Saved,
 *   group?: import('./saved.js').Group, onClose: () => void }} props
 */
export function GroupForm({ access, saved, group, onClose }) {
  const { busy, error, run } = useRequest(access);
  /** @param {FormData} form */
  const submit = (form) =>
    void run('save', async () => {
      const onPublish = String(form.get('onPublish') ?? '').split(',');
      await saved.save('destination-groups', group?.id, {
        name: String(form.get('name')).trim(),
        destinationIds: form.getAll('member').map(String),
        onPublish: onPublish.map((name) => name.trim()).filter(Boolean),
      });
      onClose();
    });
  return html`<${FormDialog}
    title=${group ? `Change ${group.name}` : 'New group'}
    action="Save"
    busy=${busy !== ''}
    error=${error}
    onSubmit=${submit}
    onClose=${onClose}
  >
    <label
      >Name
      <input
        name="name"
        required
        maxlength="100"
        defaultValue=${group?.name ?? ''}
        placeholder="Sunday service"
        autocomplete="off"
    /></label>
    <fieldset>
      <legend>Destinations</legend>
      ${saved.destinations.value?.map(
        ({ id, name }) =>
          html`<label class="check"
            ><input
              type="checkbox"
              name="member"
              value=${id}
              defaultChecked=${group?.destinationIds.includes(id) ?? false}
            />
            ${visible(name)}</label
          >`,
      )}
    </fieldset>
    <label
      >Streams that go live with it whenever they are published (optional, with commas between them)
      <input
        name="onPublish"
        defaultValue=${group?.onPublish.join(', ') ?? ''}
        placeholder="service, studio-*"
        autocomplete="off"
        autocapitalize="none"
        spellcheck=${false}
    /></label>
  <//>`;
}
