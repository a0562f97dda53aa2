// The sessions: those that wait longest first, a page at a time. There may be ten thousand of them, so that the proxy
// chooses and sorts; it is asked only while they can be seen, and less often the longer it takes.

const sessionsOnPage = 50;

const stateWords = { login: 'logging in', idle: 'idle', active: 'active', in_transaction: 'in a transaction', held: 'held' };

class Sessions {
  constructor() {
    this.page = 0;
    this.isSeen = false;
    this.filter = byId('sessions-filter');
    this.filter.addEventListener('input', () => this.turn(0));
    byId('sessions-back').addEventListener('click', () => this.turn(Math.max(0, this.page - 1)));
    byId('sessions-next').addEventListener('click', () => this.turn(this.page + 1));
    new IntersectionObserver((entries) => {
      this.isSeen = entries[entries.length - 1].isIntersecting;
      if (this.isSeen && this.onWanted) this.onWanted();
    }, { rootMargin: '100px' }).observe(byId('sessions'));
  }

  turn(page) {
    this.page = page;
    if (this.onWanted) this.onWanted();
  }

  /** What to ask the proxy for. */
  path() {
    const query = new URLSearchParams({ limit: sessionsOnPage, offset: this.page * sessionsOnPage, filter: this.filter.value.trim() });
    return `/api/v1/sessions?${query}`;
  }

  take({ sessions, total, matching }) {
    const pages = Math.max(1, Math.ceil(matching / sessionsOnPage));
    if (this.page >= pages) return this.turn(pages - 1);  // they have become fewer
    const isFiltered = this.filter.value.trim() !== '';
    keyed(byId('sessions-rows'), sessions, (session) => session.id, makeSession, updateSession);
    setText(byId('sessions-count'), isFiltered ? `${count(matching)} of ${count(total)}` : count(total));
    byId('sessions-none').hidden = matching > 0;
    setText(byId('sessions-none'), total ? 'None fits the filter.' : 'Nobody is connected.');
    byId('sessions-pages').hidden = pages === 1;
    setText(byId('sessions-page'), `${this.page + 1} of ${pages}`);
    byId('sessions-back').disabled = this.page === 0;
    byId('sessions-next').disabled = this.page + 1 === pages;
  }
}

const sessionColumns = ['Session', 'Cluster', 'Who', 'From', 'State', 'Waits for', 'Server', 'Pinned by', 'Statements', 'In / out'];

function makeSession(session) {
  const row = make('tr');
  row.cells2 = sessionColumns.map((label, place) => {
    const cell = make('td', place >= 8 ? 'number' : '');
    cell.dataset.label = label;
    row.append(cell);
    return cell;
  });
  const action = make('td', 'row-action');
  action.append(orderButton('Kill', `Kill session ${session.id}`, () => orderKill(session)));
  row.append(action);
  return row;
}

function updateSession(row, session) {
  const lasting = session.held_s ?? session.running_s;
  const isRelay = session.listener === 'tcp';
  const who = session.user ? `${session.user}${session.database ? `@${session.database}` : ''}` : isRelay ? 'passed on unread' : '';
  const words = [
    String(session.id), session.cluster, who, [session.client, session.application].filter(Boolean).join(' · '),
    `${stateWords[session.state] || session.state}${known(lasting) ? ` for ${latencyWords(lasting)}` : ''}`,
    session.waits_for, session.server || (session.reads_from ? `reads from ${session.reads_from}` : ''), session.pinned_by,
    isRelay ? '' : count(session.statements), `${byteWords(session.bytes_in)} / ${byteWords(session.bytes_out)}`,
  ];
  row.cells2.forEach((cell, place) => {
    setText(cell, words[place]);
    setAttribute(cell, 'data-empty', words[place] === '' ? '' : null);
  });
  setAttribute(row, 'class', session.state === 'held' ? 'is-held' : '');
}
