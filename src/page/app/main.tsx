/** Draws the page in the browser. */
import { render } from "preact";
import { Frame } from "./frame.tsx";

const app = document.querySelector("#app")!;
// What says that the page is loading.
app.replaceChildren();
render(<Frame />, app);
