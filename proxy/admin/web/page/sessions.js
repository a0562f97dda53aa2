// The sessions: those that wait longest first, a page at a time. There may be ten thousand of them, so they are asked
// for only while they can be seen, and less often the longer the proxy takes to list them.

const sessionsOnPage = 50;

const stateWords = { login: 'logging in', idle: 'idle', active: 'active', in_transaction: 'in a transaction', held: 'held' };

function sessionOrder(a, b) {
  return (b.held_s ?? -1) - (a.held_s ?? -1) || (b.running_s ?? -1) - (a.running_s ?? -1) || a.id - b.id;
}

class Sessions {
  constructor() {
    this.all = [];
    this.isComplete = true;
    this.page = 0;
    this.isSeen = false;
    this.filter = byId('sessions-filter');
    this.filter.addEventListener('input', () => { this.page = 0; this.draw(); });
    byId('sessions-back').addEventListener('click', () => { this.page -= 1; this.draw(); });
    byId('sessions-next').addEventListener('click', () => { this.page += 1; this.draw(); });
    new IntersectionObserver((entries) => {
      this.isSeen = entries[entries.length - 1].isIntersecting;
      if (this.isSeen && this.onSeen) this.onSeen();
    }, { rootMargin: '100px' }).observe(byId('sessions'));
  }

  take(answer) {
    this.all = answer.sessions.sort(sessionOrder);
    this.isComplete = answer.complete;
    this.draw();
  }

  draw() {
    const wanted = this.filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (session) => {
      const text = [session.id, session.cluster, session.user, session.database, session.application, session.client,
        stateWords[session.state], session.state, session.waits_for, session.server, session.pinned_by].join('\n').toLowerCase();
      return wanted.every((word) => text.includes(word));
    };
    const chosen = wanted.length ? this.all.filter(fits) : this.all;
    const pages = Math.max(1, Math.ceil(chosen.length / sessionsOnPage));
    this.page = Math.max(0, Math.min(this.page, pages - 1));
    const shown = chosen.slice(this.page * sessionsOnPage, (this.page + 1) * sessionsOnPage);
    keyed(byId('sessions-rows'), shown, (session) => session.id, makeSession, updateSession);
    const total = `${count(this.all.length)}${this.isComplete ? '' : ' listed, and there are more'}`;
    setText(byId('sessions-count'), wanted.length ? `${count(chosen.length)} of ${total}` : total);
    byId('sessions-none').hidden = chosen.length > 0;
    setText(byId('sessions-none'), this.all.length ? 'None fits the filter.' : 'Nobody is connected.');
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
