// The configuration in use, without its secrets; asked for when it is opened.

class Settings {
  constructor() {
    this.element = byId('settings');
    this.all = [];
    byId('settings-filter').addEventListener('input', () => this.draw());
    this.element.addEventListener('toggle', () => { if (this.element.open) this.load(); });
  }

  async load() {
    try {
      this.all = (await getJson('/api/v1/config')).settings;
      this.problem = '';
    } catch (error) {
      this.problem = error.message;
    }
    this.draw();
  }

  draw() {
    const wanted = byId('settings-filter').value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = this.all.filter((each) => wanted.every((word) => `${each.path} ${each.value}`.toLowerCase().includes(word)));
    keyed(byId('settings-rows'), chosen, (each) => each.path, (each) => {
      const row = make('tr');
      row.append(make('td', 'path', each.path), make('td', 'value'));
      return row;
    }, (row, each) => setText(row.lastElementChild, each.value));
    byId('settings-none').hidden = chosen.length > 0;
    setText(byId('settings-none'), this.problem || 'None fits the filter.');
  }
}
