'use strict';
const overview = (table) => {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const filter = document.getElementById('filter');
  const shown = document.getElementById('shown');
  filter.closest('p').hidden = false;
  filter.addEventListener('input', () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, number) => {
      const text = row.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits;
      document.getElementById('case-' + number).closest('section').hidden = !fits;
      if (fits) count += 1;
    });
    shown.textContent = count + ' of ' + rows.length;
  });
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = cell.textContent;
    cell.textContent = '';
    cell.append(button);
    button.addEventListener('click', () => {
      const down = cell.getAttribute('aria-sort') === 'ascending';
      for (const other of cell.parentNode.cells) other.removeAttribute('aria-sort');
      cell.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const key = (row) => {
        const order = row.cells[column].dataset.order;
        return order === undefined ? row.cells[column].textContent : Number(order);
      };
      const compare = (a, b) => (typeof a === 'number' ? a - b : a.localeCompare(b));
      const sorted = [...rows].sort((a, b) => compare(key(a), key(b)) * (down ? -1 : 1));
      body.append(...sorted);
    });
  });
};
// A table of incidents and layers has none.
const cases = document.getElementById('cases');
if (cases !== null) overview(cases);
