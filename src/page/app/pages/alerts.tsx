/** Alerts: the place where they will be. */
export function Alerts() {
  return (
    <>
      <h1>Alerts</h1>
      <div class="card">
        <p>
          No alerts are set up. They will be here: those that were sent, those that wait, and those
          that were given up.
        </p>
        <p>
          Until then, the page and <code>/metrics</code> show what needs you: failed runs, missed
          slots, overdue runs, invalid files.
        </p>
      </div>
    </>
  );
}
